//! A real redis-server for the length of a test, on a free port and in a folder of its own. Both are gone
//! afterwards, also when the test fails.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use redis::{RedisResult, Value};

static STARTED: AtomicU32 = AtomicU32::new(0);

pub struct Server {
    pub port: u16,
    folder: PathBuf,
    is_sentinel: bool,
    process: Child,
}

/// A node of a cluster talks to the others on its port plus 10,000.
const HIGHEST_PORT: u16 = 55_535;

pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port <= HIGHEST_PORT {
            return port;
        }
    }
}

/// Waits until it is so: a server's state that nobody announces.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

impl Server {
    /// With lines of its configuration.
    pub fn start(lines: &[&str]) -> Server {
        Server::start_on(free_port(), lines)
    }

    pub fn start_on(port: u16, lines: &[&str]) -> Server {
        Server::run(port, &[&["save \"\""], lines].concat(), false)
    }

    /// A sentinel for the master on that port, which it calls `mymaster`.
    pub fn sentinel(master: u16, lines: &[&str]) -> Server {
        let monitor = format!("sentinel monitor mymaster 127.0.0.1 {master} 2");
        let patience = "sentinel down-after-milliseconds mymaster 500";
        Server::run(free_port(), &[&[monitor.as_str(), patience], lines].concat(), true)
    }

    fn run(port: u16, lines: &[&str], is_sentinel: bool) -> Server {
        let number = STARTED.fetch_add(1, Relaxed);
        let folder =
            env::temp_dir().join(format!("rust-store-redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let own =
            format!("port {port}\nbind 127.0.0.1\ndir {}\nloglevel warning\n", folder.display());
        fs::write(folder.join("redis.conf"), own + &lines.join("\n") + "\n").unwrap();
        let process = spawn(&folder, is_sentinel);
        let server = Server { port, folder, is_sentinel, process };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// As `kill -9` does it.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.process = spawn(&self.folder, self.is_sentinel);
        self.wait();
    }

    /// Sends a line as one would type it, and shows the answer.
    pub fn ask(&self, line: &str) -> String {
        self.ask_all(&[line])
    }

    /// One line after the other on one connection; the answer to the last.
    pub fn ask_all(&self, lines: &[&str]) -> String {
        self.try_ask(lines).expect("the server answers")
    }

    fn try_ask(&self, lines: &[&str]) -> RedisResult<String> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        connection.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut answer = String::new();
        for line in lines {
            connection.send_packed_command(format!("{line}\r\n").as_bytes())?;
            answer = shown(connection.recv_response()?);
        }
        Ok(answer)
    }

    fn wait(&self) {
        wait_until("redis-server to come up", || self.try_ask(&["PING"]).is_ok());
    }
}

fn shown(value: Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::BulkString(text) => String::from_utf8_lossy(&text).into(),
        Value::SimpleString(text) => text,
        Value::Okay => "OK".into(),
        Value::Nil => "nil".into(),
        Value::Array(values) => values.into_iter().map(shown).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}

fn spawn(folder: &Path, is_sentinel: bool) -> Child {
    // Another server of the kind, such as Valkey's.
    let server = env::var("RUST_STORE_TEST_REDIS").unwrap_or_else(|_| "redis-server".into());
    Command::new(server)
        .arg(folder.join("redis.conf"))
        .args(is_sentinel.then_some("--sentinel"))
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
