//! Three masters, and keys that move between them.

use rust_session_store::backend::Replaced;

use crate::{
    client::{Client, now},
    server::Server,
};

const HOUR: u64 = 3_600_000;

struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    fn start() -> Cluster {
        let nodes: Vec<Server> = (0..3).map(|_| Server::start(&["cluster-enabled yes"])).collect();
        for (index, node) in nodes.iter().enumerate() {
            let ranges = ["0 5460", "5461 10922", "10923 16383"];
            node.ask(&format!("CLUSTER ADDSLOTSRANGE {}", ranges[index]));
            node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1));
            node.ask(&format!("CLUSTER MEET 127.0.0.1 {}", nodes[0].port));
        }
        let cluster = Cluster { nodes };
        for node in &cluster.nodes {
            crate::server::wait_until("the cluster", || {
                let info = node.ask("CLUSTER INFO");
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        cluster
    }

    fn url(&self) -> String {
        let hosts: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    fn id(&self, index: usize) -> String {
        self.nodes[index].ask("CLUSTER MYID")
    }
}

#[test]
fn sessions_are_spread_found_walked_over_and_cleared() {
    let cluster = Cluster::start();
    let client = Client::open(&cluster.url());
    let sids: Vec<String> = (0..600).map(|number| format!("s{number:03}")).collect();
    let draft = rust_session_store::record::Draft {
        payload: b"{}",
        expires: now() + HOUR,
        rule: rust_session_store::record::ExpiryRule::Set,
        moved: false,
    };
    let puts = sids.iter().map(|sid| client.backend.put(sid.as_bytes(), draft, now())).collect();
    client.all(puts).into_iter().for_each(|put| drop(put.unwrap()));
    for node in &cluster.nodes {
        assert_ne!(node.ask("DBSIZE"), "0");
        node.ask("SCRIPT FLUSH");
    }
    cluster.nodes[0].ask("SET other:{06S} x");
    assert_eq!(client.sids(), sids);
    assert_eq!(client.count(), 600);
    client.settle(client.backend.ping()).unwrap();
    client.settle(client.backend.clear()).unwrap();
    assert_eq!(client.count(), 0);
}

#[test]
fn the_rules_hold_for_a_key_on_whatever_node() {
    let cluster = Cluster::start();
    // Stores that are given up while they still get to know the cluster hold nothing up.
    for _ in 0..50 {
        drop(Client::open(&cluster.url()));
    }
    // One seed is enough, and the first command may go to the wrong node.
    for node in &cluster.nodes {
        let client = Client::open(&format!("redis+cluster://127.0.0.1:{}", node.port));
        client.put("a", "one", HOUR).unwrap();
        let seen = client.text("a").unwrap();
        let rule = rust_session_store::record::ExpiryRule::Later;
        for next in ["two", "one"] {
            let _ = client.replace("a", Some(&seen), next, HOUR as i64, rule).unwrap();
        }
        client.touch("a", 2 * HOUR, rule, 0).unwrap();
        client.touch("a", 3 * HOUR, rule, 5).unwrap();
    }
}

#[test]
fn saves_that_compare_need_no_scripts() {
    let cluster = Cluster::start();
    for node in &cluster.nodes {
        // What docs/redis.md says that a user needs without scripts.
        node.ask(
            "ACL SETUSER app on >secret ~sess:* +get +set +del +unlink +pexpire +pttl +scan +ping \
             +watch +multi +exec +cluster|slots +asking",
        );
    }
    // With one seed, nothing is known yet of the others when the first save comes.
    let url = format!("redis+cluster://app:secret@127.0.0.1:{}", cluster.nodes[0].port);
    let rule = rust_session_store::record::ExpiryRule::Later;
    let sids: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    for sid in &sids {
        let client = Client::open(&url);
        let gone = client.replace(sid, Some("one"), "two", HOUR as i64, rule).unwrap();
        assert!(matches!(gone, Replaced::Gone));
        client.put(sid, "one", HOUR).unwrap();
        let written = client.replace(sid, Some("one"), "two", HOUR as i64, rule).unwrap();
        assert!(matches!(written, Replaced::Written(_)));
        assert_eq!(client.text(sid).unwrap(), "two");
    }
}

#[test]
fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start();
    let client = Client::open(&cluster.url());
    // Slot 15495 is that of sess:{a} here: node 2 gives it to node 0.
    let (sids, slot) = (["{a}1", "{a}2", "{a}3"], 15495);
    for sid in sids {
        client.put(sid, "one", HOUR).unwrap();
    }
    let (from, to) = (&cluster.nodes[2], &cluster.nodes[0]);
    to.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", cluster.id(2)));
    from.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", cluster.id(0)));
    let migrate = |sid: &str| {
        let done = from.ask(&format!("MIGRATE 127.0.0.1 {} sess:{sid} 0 1000", to.port));
        assert_eq!(done, "OK");
    };
    // Half moved: one key here, another there, a third that is new.
    migrate(sids[0]);
    for sid in sids {
        assert_eq!(client.text(sid).unwrap(), "one");
        let rule = rust_session_store::record::ExpiryRule::Later;
        let replaced = client.replace(sid, Some("one"), "two", HOUR as i64, rule).unwrap();
        assert!(matches!(replaced, Replaced::Written(_)));
    }
    client.put("{a}new", "new", HOUR).unwrap();
    migrate(sids[1]);
    migrate(sids[2]);
    for node in [to, from] {
        node.ask(&format!("CLUSTER SETSLOT {slot} NODE {}", cluster.id(0)));
    }
    for sid in sids {
        assert_eq!(client.text(sid).unwrap(), "two");
        client.put(sid, "three", HOUR).unwrap();
    }
    assert_eq!(client.text("{a}new").unwrap(), "new");
}

#[test]
fn a_node_that_dies_takes_only_its_own_slots_with_it() {
    let mut cluster = Cluster::start();
    for node in &cluster.nodes {
        node.ask("CONFIG SET cluster-require-full-coverage no");
    }
    let client = Client::open(&cluster.url());
    let sids: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
    for sid in &sids {
        client.put(sid, "one", HOUR).unwrap();
    }
    cluster.nodes[1].kill();
    client.wait_until("errors", |client| sids.iter().any(|sid| client.get(sid).is_err()));
    let found =
        sids.iter().filter(|sid| client.get(sid).is_ok_and(|found| found.is_some())).count();
    assert!((30..100).contains(&found), "{found} of 100 are on the two nodes that live");
    assert!(client.events.lock().unwrap().is_empty(), "it is not down as a whole");
    cluster.nodes[1].restart();
    client.wait_until("all slots", |client| sids.iter().all(|sid| client.get(sid).is_ok()));

    for node in &mut cluster.nodes {
        node.kill();
    }
    client.wait_until("errors only", |client| sids.iter().all(|sid| client.get(sid).is_err()));
    client.wait_for("down ERR_STORE_UNAVAILABLE");
    for node in &mut cluster.nodes {
        node.restart();
    }
    client.wait_for("up");
    client.wait_until("all slots", |client| sids.iter().all(|sid| client.get(sid).is_ok()));
}
