//! A real redis-server for the length of a test, on a free port and in a folder of its own. Both are gone
//! afterwards, also when the test fails.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

static STARTED: AtomicU32 = AtomicU32::new(0);

pub struct Server {
    pub port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Child,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    pub fn start(arguments: &[&str]) -> Server {
        Server::start_on(free_port(), arguments)
    }

    pub fn start_on(port: u16, arguments: &[&str]) -> Server {
        let number = STARTED.fetch_add(1, Relaxed);
        let folder =
            env::temp_dir().join(format!("rust-store-redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
        let process = spawn(port, &folder, &arguments);
        let server = Server { port, folder, arguments, process };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// As `kill -9` does it.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.folder, &self.arguments);
        self.wait();
    }

    /// One command, as a line; the first bytes of its answer.
    pub fn ask(&self, line: &str) -> String {
        self.try_ask(line).expect("the server answers")
    }

    fn try_ask(&self, line: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).trim_end().to_owned())
    }

    fn wait(&self) {
        let started = Instant::now();
        while self.try_ask("PING").is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "redis-server does not come up");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn spawn(port: u16, folder: &Path, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--dir", folder.to_str().unwrap(), "--loglevel", "warning"])
        .args(arguments)
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
