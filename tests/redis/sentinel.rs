//! A master and a replica that sentinels watch.

use std::net::TcpListener;

use crate::{
    client::Client,
    server::{Server, wait_until},
};

const HOUR: u64 = 3_600_000;

#[test]
fn the_master_is_followed_when_it_changes() {
    let mut master = Server::start(&["repl-diskless-sync-delay 0"]);
    let replica = Server::start(&[&format!("replicaof 127.0.0.1 {}", master.port)]);
    let lines = ["requirepass s3cret", "sentinel sentinel-pass s3cret"];
    let sentinels: Vec<Server> = (0..3).map(|_| Server::sentinel(master.port, &lines)).collect();
    let hosts: Vec<_> = sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
    let url = format!("redis+sentinel://{}/mymaster", hosts.join(","));

    let stranger = Client::open(&url);
    stranger.wait_for("down ERR_STORE_AUTH");
    let client = Client::open(&format!("{url}?sentinelPassword=s3cret"));
    client.put("a", "one", HOUR).unwrap();
    wait_until("the replica to have it", || replica.ask("EXISTS sess:a") == "1");
    // The sentinels have to know each other and the replica before they can promote it.
    for sentinel in &sentinels {
        wait_until("the sentinels to know all", || {
            let info = sentinel.ask_all(&["AUTH s3cret", "INFO sentinel"]);
            info.contains("slaves=1,sentinels=3")
        });
    }
    master.kill();
    wait_until("the new master", || client.put("b", "two", HOUR).is_ok());
    assert_eq!(client.text("a").unwrap(), "one");
    assert_eq!(replica.ask("EXISTS sess:b"), "1");
    assert_eq!(*client.events.lock().unwrap(), ["down ERR_STORE_UNAVAILABLE", "up"]);
}

#[test]
fn sentinels_that_are_silent_or_behind_are_passed_over() {
    let (master, gone) = (Server::start(&[]), Server::start(&[]));
    let knows = Server::sentinel(master.port, &[]);
    let is_behind = Server::sentinel(gone.port, &[]);
    drop(gone);
    // It takes connections, and what is sent, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [silent.local_addr().unwrap().port(), is_behind.port, knows.port];
    let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    for timeout in [400, 2000] {
        let client =
            Client::open(&format!("redis+sentinel://{hosts}/mymaster?connectTimeout={timeout}"));
        wait_until("the master", || client.put("a", "one", HOUR).is_ok());
        assert!(client.events.lock().unwrap().is_empty(), "it was never down");
    }
}
