//! Which servers a URL and the options name, and how to log in there. Knows no connection. A password
//! is in here: nothing of this is ever shown, and no message repeats a part of the URL.

use std::{path::PathBuf, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use rustls::ClientConfig;

use super::tls;
use crate::{
    error::{Error, Kind, Result},
    options::Options,
    transport::Transport,
};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// No server reads a larger number.
const MOST_DB: u32 = i32::MAX as u32;
const DEFAULT_PREFIX: &str = "sess:";
const DEFAULT_CONNECT_TIMEOUT_MS: f64 = 2000.0;

/// A server's address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    pub host: String,
    pub port: u16,
}

/// Who logs in.
#[derive(Clone, Default)]
pub struct Login {
    pub username: Option<String>,
    pub password: Option<String>,
}

/// The servers, by how they stand to each other.
#[derive(Clone)]
pub enum Place {
    /// One server.
    Single(Node),
    /// One server on this machine.
    Unix(PathBuf),
    /// Whichever server the sentinels call the master of `name`.
    Sentinel { sentinels: Vec<Node>, name: String, login: Login },
    /// A cluster that one of these belongs to.
    Cluster(Vec<Node>),
}

/// All that is needed to connect.
pub struct Plan {
    pub place: Place,
    pub login: Login,
    pub db: i64,
    pub tls: Option<Arc<ClientConfig>>,
    pub prefix: String,
    /// The same text for the same records.
    pub identity: String,
    pub connect_timeout: Duration,
    pub command_timeout: Duration,
    /// Who reads and writes for connections that are not encrypted; without one, a task does.
    pub transport: Option<Arc<dyn Transport>>,
}

/// The part of a deadline after which the server counts as silent: less than all of it, so that the
/// caller is told why.
const PATIENCE: f64 = 0.9;

fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Config, message)
}

impl Plan {
    /// How long a command may take.
    pub fn patience(&self) -> Duration {
        self.command_timeout.mul_f64(PATIENCE)
    }

    pub fn read(options: &Options) -> Result<Plan> {
        let (kind, secure) = match options.scheme {
            "rediss" | "valkeys" => ("", true),
            "rediss+sentinel" => ("sentinel", true),
            "rediss+cluster" => ("cluster", true),
            "redis+sentinel" => ("sentinel", false),
            "redis+cluster" => ("cluster", false),
            "redis+unix" => ("unix", false),
            _ => ("", false),
        };
        let rest = options.place.strip_prefix("//").unwrap_or(&options.place);
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        let login = login(user_info, options)?;
        let path = path.trim_start_matches('/');
        let (place, db) = match kind {
            "unix" => (unix(authority, hosts, path)?, ""),
            "sentinel" => {
                let (name, db) = path.split_once('/').unwrap_or((path, ""));
                (sentinel(hosts, name, options)?, db)
            }
            "cluster" => (Place::Cluster(nodes(hosts, PORT)?), path),
            _ => (single(hosts)?, path),
        };
        if kind != "sentinel" {
            for name in ["sentinelUsername", "sentinelPassword"] {
                if options.text(name).is_some() {
                    return Err(wrong(format!("\"{name}\" is for redis+sentinel: only")));
                }
            }
        }
        let db = database(db, options)?;
        if db != 0 && kind == "cluster" {
            return Err(wrong("a cluster has one database only; leave \"db\" out"));
        }
        let prefix = options.prefix.clone().unwrap_or_else(|| DEFAULT_PREFIX.into());
        let ms = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        let connect_timeout =
            options.number("connectTimeout").unwrap_or(DEFAULT_CONNECT_TIMEOUT_MS);
        Ok(Plan {
            identity: identity(&place, db, &prefix),
            place,
            login,
            db,
            tls: tls::config(options, secure)?,
            prefix,
            connect_timeout: ms(connect_timeout),
            command_timeout: Duration::from_millis(options.command_timeout_ms),
            transport: options.transport.clone(),
        })
    }
}

fn decode(text: &str, what: &str) -> Result<String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(wrong(format!("the {what} in \"url\" is not percent-encoded UTF-8"))),
    }
}

fn login(user_info: Option<&str>, options: &Options) -> Result<Login> {
    let (mut username, mut password) = (None, None);
    if let Some(user_info) = user_info {
        let (user, secret) = match user_info.split_once(':') {
            Some((user, secret)) => (user, Some(secret)),
            None => (user_info, None),
        };
        username = Some(decode(user, "user")?).filter(|user| !user.is_empty());
        password = secret.map(|secret| decode(secret, "password")).transpose()?;
    }
    for (name, value) in [("username", &mut username), ("password", &mut password)] {
        let Some(given) = options.text(name) else { continue };
        if value.replace(given.to_owned()).is_some() {
            return Err(wrong(format!(
                "\"{name}\" is given twice; give it once, in the URL or as an option"
            )));
        }
    }
    if username.is_none() && password.as_deref() == Some("") {
        // As node-redis has it: the password of a server that wants none.
        password = None;
    }
    if username.is_some() && password.is_none() {
        return Err(wrong(
            "\"url\" names a user and no password; write redis://user:password@host or redis://:password@host",
        ));
    }
    Ok(Login { username, password })
}

fn single(hosts: &str) -> Result<Place> {
    if hosts.contains(',') {
        return Err(wrong(
            "\"url\" names several hosts; begin it with redis+cluster: or redis+sentinel:",
        ));
    }
    let hosts = if hosts.is_empty() { "localhost" } else { hosts };
    Ok(Place::Single(node(hosts, PORT)?))
}

fn unix(authority: &str, hosts: &str, path: &str) -> Result<Place> {
    if cfg!(not(unix)) {
        return Err(Error::new(Kind::Unsupported, "redis+unix: works on Unix only"));
    }
    if !hosts.is_empty() || path.is_empty() {
        let at = if authority.is_empty() { "" } else { "user:password@" };
        return Err(wrong(format!(
            "\"url\" has to name a socket by its whole path: redis+unix://{at}/path/of/the.sock"
        )));
    }
    Ok(Place::Unix(format!("/{}", decode(path, "path")?).into()))
}

fn sentinel(hosts: &str, name: &str, options: &Options) -> Result<Place> {
    if name.is_empty() {
        return Err(wrong(
            "\"url\" has to say which master the sentinels watch: redis+sentinel://host1,host2/name",
        ));
    }
    let text = |name| options.text(name).map(str::to_owned);
    let login = Login { username: text("sentinelUsername"), password: text("sentinelPassword") };
    if login.username.is_some() && login.password.is_none() {
        return Err(wrong("\"sentinelUsername\" needs \"sentinelPassword\""));
    }
    let sentinels = nodes(hosts, SENTINEL_PORT)?;
    Ok(Place::Sentinel { sentinels, name: decode(name, "master's name")?, login })
}

fn nodes(hosts: &str, port: u16) -> Result<Vec<Node>> {
    hosts.split(',').map(|host| node(host.trim(), port)).collect()
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn node(text: &str, default_port: u16) -> Result<Node> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        // What follows it without a colon is no port.
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or_default())),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(default_port), |port| port.parse().ok());
    match (host, port) {
        ("", _) | (_, None) => Err(wrong(
            "\"url\" does not name hosts as host or host:port; a \"/\", \"?\", \"@\" or \"#\" in a password has to be percent-encoded",
        )),
        (host, Some(port)) => Ok(Node { host: host.to_ascii_lowercase(), port }),
    }
}

fn database(in_url: &str, options: &Options) -> Result<i64> {
    let in_url = in_url.trim_end_matches('/');
    match (in_url, options.number("db")) {
        ("", None) => Ok(0),
        ("", Some(db)) if db <= f64::from(MOST_DB) => Ok(db as i64),
        ("", Some(_)) => Err(wrong(format!("\"db\" must be {MOST_DB} or less"))),
        (_, Some(_)) => {
            Err(wrong("\"db\" is given twice; give it once, in the URL's path or as an option"))
        }
        (text, None) => match text.parse::<u32>() {
            Ok(db) if db <= MOST_DB => Ok(i64::from(db)),
            _ => Err(wrong("the path of \"url\" has to be the number of a database")),
        },
    }
}

fn identity(place: &Place, db: i64, prefix: &str) -> String {
    let list = |nodes: &[Node]| {
        let mut nodes: Vec<String> =
            nodes.iter().map(|node| format!("{}:{}", node.host, node.port)).collect();
        nodes.sort_unstable();
        nodes.join(",")
    };
    let place = match place {
        Place::Single(node) => list(std::slice::from_ref(node)),
        Place::Unix(path) => path.display().to_string(),
        Place::Sentinel { sentinels, name, .. } => format!("{}/{name}", list(sentinels)),
        Place::Cluster(seeds) => format!("cluster {}", list(seeds)),
    };
    format!("redis {place} {db} {prefix}")
}
