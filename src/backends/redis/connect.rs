//! Makes one connection to the server that a plan names. Knows sentinels; not who waits, and nothing of
//! trying again.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value,
    aio::MultiplexedConnection,
};
use rustls::pki_types::ServerName;
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    address::{Login, Node, Place, Plan},
    failure::Failure,
};
use crate::error::Kind;

/// How long one of several addresses, or one of several sentinels with the master it names, may take before
/// the next is tried as well. As RFC 8305, "Happy Eyeballs", has it.
const PATIENCE: Duration = Duration::from_millis(250);
/// Batches that may wait to be written. Above it their order is no longer certain, so it is more than a
/// process can have under way within a deadline.
const QUEUE: usize = 1 << 16;

/// A connection, and the task that reads and writes for it: it ends when the connection does.
pub struct Connected {
    pub commands: MultiplexedConnection,
    pub driver: Driver,
    /// The same connection again, where what goes over it is not encrypted.
    pub socket: Option<io::Result<Socket>>,
}

/// Ends the task when dropped.
pub struct Driver(pub JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects to the server that has the records, logs in and chooses the database.
pub async fn connect(plan: &Plan, place: &Place) -> Result<Connected, Failure> {
    match place {
        Place::Single(node) => tcp(plan, node, &plan.login, plan.db).await,
        Place::Unix(path) => unix(path, &plan.login, plan.db).await,
        Place::Sentinel { sentinels, name, login } => {
            by_sentinels(plan, sentinels, name, login).await
        }
        // A cluster is connected to node by node.
        Place::Cluster(_) => Err(Failure::new(Kind::Internal, "a cluster is no single server")),
    }
}

/// Connects to the master that a sentinel names, the first that leads to one: a sentinel may be silent, and
/// may not know yet who the master is.
async fn by_sentinels(
    plan: &Plan,
    sentinels: &[Node],
    name: &str,
    login: &Login,
) -> Result<Connected, Failure> {
    // So that each has its turn.
    let patience = patience(plan, sentinels.len());
    let mut why = Failure::new(Kind::Unavailable, NO_SENTINEL);
    let mut next = sentinels.iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        attempts.extend(next.next().map(|sentinel| async move {
            let master = master(plan, sentinel, name, login).await?;
            let mut connected = tcp(plan, &master, &plan.login, plan.db).await?;
            check_role(&mut connected).await?;
            Ok(connected)
        }));
        let longest = if next.len() > 0 { patience } else { plan.connect_timeout };
        match timeout(longest, attempts.next()).await {
            Ok(Some(Ok(connected))) => return Ok(connected),
            // A login that is refused says more than a server that is not there.
            Ok(Some(Err(failure))) if why.kind() == Kind::Unavailable => why = failure,
            Ok(Some(Err(_))) => {}
            Ok(None) => return Err(why),
            Err(_) if next.len() == 0 => return Err(why),
            Err(_) => {}
        }
    }
}

/// The same for so many.
fn patience(plan: &Plan, count: usize) -> Duration {
    PATIENCE.min(plan.connect_timeout / (count as u32 + 1))
}

const NO_SENTINEL: &str = "no sentinel answers; it is tried again";

/// Asks a sentinel.
async fn master(plan: &Plan, sentinel: &Node, name: &str, login: &Login) -> Result<Node, Failure> {
    let mut ask = redis::cmd("SENTINEL");
    ask.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer = async {
        let mut connected = tcp(plan, sentinel, login, 0).await?;
        ask_one(&mut connected, &ask).await
    };
    let no_sentinel = || Failure::new(Kind::Unavailable, NO_SENTINEL);
    match answer.await {
        Ok(parts @ Value::Array(_)) => {
            let (host, port) = redis::from_redis_value(parts).map_err(|_| no_sentinel())?;
            Ok(Node { host, port })
        }
        Ok(_) => Err(Failure::new(
            Kind::Unavailable,
            "the sentinels know no master of the name in \"url\"; it is tried again",
        )),
        Err(failure) if failure.kind() == Kind::Auth => Err(Failure::new(
            Kind::Auth,
            "the sentinels refuse the login; check \"sentinelUsername\" and \"sentinelPassword\"",
        )),
        Err(_) => Err(no_sentinel()),
    }
}

/// A sentinel may name a server that is a replica by now.
async fn check_role(connected: &mut Connected) -> Result<(), Failure> {
    let role = match ask_one(connected, &redis::cmd("ROLE")).await {
        Ok(Value::Array(parts)) => parts.into_iter().next(),
        // Where the user may not ask, READONLY will tell.
        Err(failure) if failure.is_forbidden("role") => return Ok(()),
        Ok(_) => None,
        Err(failure) => return Err(failure),
    };
    match role {
        Some(Value::BulkString(role)) if role == b"master" => Ok(()),
        _ => Err(Failure::new(
            Kind::Unavailable,
            "the server that the sentinels name is no master yet; it is tried again",
        )),
    }
}

/// One command on a connection of its own.
pub async fn ask_one(connected: &mut Connected, command: &Cmd) -> Result<Value, Failure> {
    match connected.commands.send_packed_command(command).await? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

async fn tcp(plan: &Plan, node: &Node, login: &Login, db: i64) -> Result<Connected, Failure> {
    let addresses = lookup_host((node.host.as_str(), node.port)).await.map_err(not_reached)?;
    let addresses: Vec<_> = addresses.collect();
    let patience = patience(plan, addresses.len());
    let stream = first_of(&addresses, patience).await.map_err(not_reached)?;
    let _ = stream.set_nodelay(true);
    // An idle connection that was cut without a word is noticed, and costs the server no command.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(3))
        .with_retries(3);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let Some(tls) = &plan.tls else {
        let socket = SockRef::from(&stream).try_clone();
        return Ok(Connected { socket: Some(socket), ..start(stream, login, db).await? });
    };
    let name = ServerName::try_from(node.host.clone()).map_err(|_| {
        Failure::new(Kind::Config, "the host in \"url\" is no name that TLS can check")
    })?;
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(|error| {
        Failure::io("TLS: the server ended the connection; does it speak TLS on this port?", error)
    })?;
    start(stream, login, db).await
}

/// Connects to the first of a name's addresses that answers: others may be silent.
async fn first_of(addresses: &[SocketAddr], patience: Duration) -> io::Result<TcpStream> {
    let mut why = io::ErrorKind::AddrNotAvailable.into();
    let mut next = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        attempts.extend(next.next().map(TcpStream::connect));
        let attempted = match next.len() {
            0 => Ok(attempts.next().await),
            _ => timeout(patience, attempts.next()).await,
        };
        match attempted {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => why = error,
            Ok(None) => return Err(why),
            Err(_) => {}
        }
    }
}

#[cfg(unix)]
async fn unix(path: &Path, login: &Login, db: i64) -> Result<Connected, Failure> {
    let stream = tokio::net::UnixStream::connect(path).await.map_err(not_reached)?;
    let socket = SockRef::from(&stream).try_clone();
    Ok(Connected { socket: Some(socket), ..start(stream, login, db).await? })
}

#[cfg(not(unix))]
async fn unix(_: &Path, _: &Login, _: i64) -> Result<Connected, Failure> {
    Err(Failure::new(Kind::Unsupported, "redis+unix: works on Unix only"))
}

fn not_reached(error: std::io::Error) -> Failure {
    Failure::io("the server cannot be reached; it is tried again", error)
}

/// Logs in and starts the task. RESP2: it needs no handshake, and every server speaks it.
async fn start<S>(stream: S, login: &Login, db: i64) -> Result<Connected, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut info = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_lib_name("rust-session-store", env!("CARGO_PKG_VERSION"));
    if let Some(username) = &login.username {
        info = info.set_username(username);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password);
    }
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let (commands, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    let mut connected = Connected { commands, driver: Driver(tokio::spawn(driver)), socket: None };
    if db != 0 {
        // Not by the crate, which keeps to itself why the server refused it.
        ask_one(&mut connected, redis::cmd("SELECT").arg(db)).await?;
    }
    Ok(connected)
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    /// A port whose SYNs are dropped: nobody takes the few connections that it has room for.
    fn silent() -> (Vec<Socket>, SocketAddr) {
        let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = tcp();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..8 {
            let socket = tcp();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            sockets.push(socket);
        }
        (sockets, address.as_socket().unwrap())
    }

    #[tokio::test]
    async fn an_address_that_is_silent_holds_up_no_other() {
        let (_sockets, silent) = silent();
        let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = good.local_addr().unwrap();
        let stream = first_of(&[silent, silent, good], Duration::from_millis(10)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    }

    #[tokio::test]
    async fn why_none_is_reached_is_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = listener.local_addr().unwrap();
        drop(listener);
        let why = first_of(&[closed, closed], Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::ConnectionRefused);
        assert!(first_of(&[], Duration::ZERO).await.is_err());
    }
}
