//! Who may read what is made, and what is refused.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rust_session_store::error::Kind;
use serde_json::json;

use super::folder::{Dir, close, put};

#[test]
fn only_the_owner_can_read_what_is_made() {
    let dir = Dir::new();
    let store = dir.open();
    put(&store, "a", "{}");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.0.clone()), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&dir.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()) & 0o077, 0, "{}", path.display());
        files += 1;
    }
    assert!(files >= 3);
}

#[test]
fn what_cannot_work_is_refused() {
    let refused = |dir: &Dir, options| {
        let error = dir.try_open(options).err().expect("refused");
        assert_eq!(error.backend(), "file");
        (error.kind(), error.message().to_owned())
    };
    let foreign = Dir::new();
    fs::create_dir(&foreign.0).unwrap();
    fs::write(foreign.0.join("data.mdb"), "somebody's").unwrap();
    let (kind, message) = refused(&foreign, json!({}));
    assert_eq!(kind, Kind::Config);
    assert!(message.contains("holds other files"), "{message}");

    let file = Dir::new();
    fs::write(&file.0, "a file").unwrap();
    let (kind, message) = refused(&file, json!({}));
    assert_eq!(kind, Kind::Config);
    assert!(message.contains("is a file"), "{message}");
    fs::remove_file(&file.0).unwrap();

    let dir = Dir::new();
    let store = dir.open();
    let (kind, message) = refused(&dir, json!({ "durability": "normal" }));
    assert_eq!(kind, Kind::Config);
    assert!(message.contains("already open in this process"), "{message}");
    assert_eq!(refused(&dir, json!({ "mapSize": 5 })).0, Kind::Config);
    close(&store);
    close(&dir.try_open(json!({ "durability": "normal" })).unwrap());

    fs::write(dir.0.join("data.mdb"), vec![7; 20_000]).unwrap();
    let (kind, message) = refused(&dir, json!({}));
    assert_eq!(kind, Kind::Unavailable);
    assert!(message.contains("not an LMDB file") || message.contains("INVALID"), "{message}");
}
