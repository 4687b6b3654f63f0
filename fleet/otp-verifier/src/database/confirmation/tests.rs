//! Standbys that are gone or hang, with real ones.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::database::Servers;
use crate::database::testing::Cluster;
use crate::error::Error;
use crate::keys::tests::keys;
use crate::right::Right;

fn soon(servers: &Arc<Servers>, wanted: impl Fn(Option<&str>) -> bool) {
    for _ in 0..150 {
        let health = servers.health();
        if health.primary.is_some() && wanted(health.unconfirmed.as_deref()) {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("{:?}", servers.health());
}

#[test]
fn a_standby_that_is_gone_or_hangs_is_seen_and_so_is_one_that_is_back() {
    let cluster = Cluster::new("FIRST 1 (s1)", 1);
    let servers = cluster.servers(&[0, 1]);
    servers.watch().unwrap();
    soon(&servers, |why| why.is_none());
    cluster.stop(1, Signal::SIGINT);
    soon(&servers, |why| why.is_some_and(|why| why.ends_with("waits for its standby s1, which is not connected")));
    cluster.start(1);
    soon(&servers, |why| why.is_none());
    cluster.freeze(1);
    soon(&servers, |why| why.is_some_and(|why| why.starts_with("no commit was confirmed for ")));
    cluster.thaw(1);
    soon(&servers, |why| why.is_none());
}

#[test]
fn a_command_says_what_it_waits_for_and_that_its_change_may_be_in_force_later() {
    let cluster = Cluster::new("FIRST 1 (s1)", 1);
    let (servers, keys) = (cluster.servers(&[0, 1]), keys(&[1]));
    let session = servers.connect().unwrap();
    assert!(session.add_host(&keys, "web1", &[1; 32], &[Right::Login], None).unwrap());
    cluster.stop(1, Signal::SIGINT);
    let session = servers.connect().unwrap().with_patience(Duration::from_secs(1));
    let error = Error::from(session.suspend(&keys, "web1").err().unwrap());
    assert_eq!(error.code, 5);
    let text = error.to_string();
    assert!(text.starts_with("the change is not confirmed: not within 1 s: "), "{text}");
    assert!(text.ends_with(" waits for its standby s1, which is not connected"), "{text}");
    assert!(error.hint.contains("what was sent may be in force already, or be so then"), "{}", error.hint);
    assert!(session.is_broken());
    cluster.start(1);
    cluster.wait_for(0, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'", "0");
    assert!(!servers.connect().unwrap().hosts(&keys).unwrap()[0].is_active);
}
