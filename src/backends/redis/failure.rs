//! What a failed command means to the person who reads of it: which kind, and what to do. Knows the
//! server's error codes; not who asked. Never repeats a key (it names a session) or a password.

use std::{borrow::Cow, io, sync::Arc};

use redis::{ErrorKind, RedisError, ServerError};

use crate::error::{Error, Kind};

/// A failure that several calls may share: those of one write fail together.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: Kind,
    message: Cow<'static, str>,
    source: Option<RedisError>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Failure {
        Failure { kind, message: message.into(), source: None }
    }

    /// A connection that could not be made.
    pub fn io(message: &'static str, error: io::Error) -> Failure {
        let source = RedisError::from(error);
        let message = if is_tls(&source) { REFUSED_TLS } else { message };
        Failure { kind: Kind::Unavailable, message: message.into(), source: Some(source) }
    }

    /// The server's code, such as `NOSCRIPT`, where the server answered with one.
    pub fn code(&self) -> &str {
        self.source.as_ref().and_then(RedisError::code).unwrap_or_default()
    }

    /// What the server said beside the code.
    pub fn detail(&self) -> &str {
        self.source.as_ref().and_then(RedisError::detail).unwrap_or_default()
    }

    /// Whether the server does not let this user run `command`, or does not know it.
    pub fn is_forbidden(&self, command: &str) -> bool {
        let detail = self.detail().to_ascii_lowercase();
        let names_it = [format!("'{command}'"), format!("`{command}`")]
            .iter()
            .any(|quoted| detail.contains(quoted.as_str()));
        names_it && (self.code() == "NOPERM" || detail.contains("unknown command"))
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let error = Error::new(failure.kind, failure.message);
        match failure.source {
            Some(source) => error.because(source),
            None => error,
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        RedisError::from(error).into()
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Failure {
        // Before version 7 what a script answers as an error may begin with another dash.
        let code = error.code().unwrap_or_default().trim_start_matches('-').to_owned();
        let detail = error.detail().unwrap_or_default();
        let (kind, message) = match code.as_str() {
            "" => without_code(&error),
            // Before version 7 a script's error stands in the text of another.
            "ERR" if detail.contains("OOM ") => by_code("OOM", ""),
            "ERR" if detail.contains("READONLY ") => by_code("READONLY", ""),
            code => by_code(code, detail),
        };
        // "unknown command" repeats the command's arguments, and one of them is the sid.
        let keep = !detail.contains("unknown command") || detail.contains("EVAL");
        Failure { kind, message: message.into(), source: keep.then_some(error) }
    }
}

/// Connections that could not be made, or ended.
fn without_code(error: &RedisError) -> (Kind, &'static str) {
    match error.kind() {
        ErrorKind::AuthenticationFailed => (Kind::Auth, WRONG_PASSWORD),
        ErrorKind::InvalidClientConfig => {
            (Kind::Config, "TLS could not be set up; check the certificates")
        }
        ErrorKind::Parse => {
            (Kind::Unavailable, "what answers there is no Redis; check host and port")
        }
        // A server that does not like a certificate may say so only after the handshake.
        ErrorKind::Io if is_tls(error) => (Kind::Unavailable, REFUSED_TLS),
        ErrorKind::Io => (Kind::Unavailable, GONE),
        ErrorKind::ClusterConnectionNotFound => {
            (Kind::Unavailable, "no node of the cluster can be reached; it is tried again")
        }
        _ => (Kind::Internal, "the server's answer was not understood"),
    }
}

fn is_tls(error: &RedisError) -> bool {
    let io = std::error::Error::source(error).and_then(|source| {
        // The crate shares the error, and hands the share out.
        let shared = source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>();
        shared.map_or_else(|| source.downcast_ref(), |shared| shared.downcast_ref::<io::Error>())
    });
    io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>())
}

const REFUSED_TLS: &str = "TLS: the server's certificate or offer was not accepted, or it refused ours; check the host's name, \"tlsCa\", \"tlsCert\" and \"tlsKey\"";
const GONE: &str = "the connection could not be made, or ended before the answer; it is made anew";
const WRONG_PASSWORD: &str = "the server refuses this user or password; check \"username\" and \"password\" (or those in the URL)";

fn by_code(code: &str, detail: &str) -> (Kind, &'static str) {
    match code {
        "WRONGTYPE" => (
            Kind::Decode,
            "the key of this session holds another type than a string; something else writes under this \"prefix\"",
        ),
        "NOAUTH" => (Kind::Auth, "the server wants a password; give \"username\" and \"password\""),
        "WRONGPASS" => (Kind::Auth, WRONG_PASSWORD),
        "NOPERM" => (
            Kind::Auth,
            "the server's ACL does not allow this user the command or the key; docs/redis.md lists what is needed",
        ),
        "OOM" => (
            Kind::Unavailable,
            "the server is at its \"maxmemory\" and takes no writes; what was stored before is kept",
        ),
        "READONLY" => (
            Kind::Unavailable,
            "this server is a replica that takes no writes; the master is looked for again",
        ),
        "LOADING" => (Kind::Unavailable, "the server is still loading its data; try again"),
        "MASTERDOWN" => (Kind::Unavailable, "this replica has lost its master; try again"),
        "CLUSTERDOWN" => {
            (Kind::Unavailable, "the cluster does not serve this session at the moment; try again")
        }
        "TRYAGAIN" => (Kind::Unavailable, "the cluster is moving this session; try again"),
        "BUSY" => (Kind::Unavailable, "the server is busy with somebody's script; try again"),
        "MISCONF" | "NOREPLICAS" => (
            Kind::Unavailable,
            "the server takes no writes: it cannot save to its disk, or misses replicas; see its log",
        ),
        "MOVED" | "ASK" => {
            (Kind::Config, "this server is part of a cluster; begin the URL with redis+cluster:")
        }
        "ERR" if detail.contains("max number of clients") => {
            (Kind::Unavailable, "the server has no connection left: see its \"maxclients\"")
        }
        "ERR" if detail.contains("invalid password") => (Kind::Auth, WRONG_PASSWORD),
        // Of a command that a script was not allowed; before version 7, and since.
        "ERR"
            if detail.contains("executing the script can't run")
                || detail.contains("ACL failure in script") =>
        {
            by_code("NOPERM", "")
        }
        "ERR" if detail.contains("cluster support disabled") => (
            Kind::Config,
            "this server is part of no cluster; begin the URL with redis: or rediss:",
        ),
        "ERR" if detail.contains("DB index") || detail.contains("SELECT is not allowed") => {
            (Kind::Config, "the server has no database of that number; check \"db\"")
        }
        "ERR" if detail.contains("unknown command") || detail.contains("syntax error") => (
            Kind::Unsupported,
            "the server does not know a command that is needed; Redis 6 or newer, or Valkey, does",
        ),
        _ => (Kind::Internal, "the server answered with an error that was not expected"),
    }
}
