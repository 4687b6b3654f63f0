//! Who is served, with a real database.

use otp_core::config::settings::Settings;
use serde_json::Value;
use tokio::runtime::Builder;

use super::*;
use crate::authority::Authority;
use crate::config::Config;
use crate::database::fleet::FleetRow;
use crate::database::testing::Cluster;
use crate::keys::tests::keys;
use crate::right::Right;

#[test]
fn a_verifier_with_other_keys_than_the_fleet_answers_nobody() {
    const KEY: [u8; 32] = [1; 32];
    let (cluster, database) = Cluster::shared();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("listen = []\nverifiers = []\ndatabase = []\nthreads = 2\nfolder = {:?}", folder.path());
    let config: Config = toml::from_str(&text).unwrap();
    Authority::make(&config).unwrap();
    let servers = Arc::new(cluster.servers_of(&database, &[0]));
    let fleet = Arc::new(Fleet::of_test(config, Settings::default(), Arc::clone(&servers), keys(&[1, 2])));
    assert!(servers.connect().unwrap().add_host(&fleet.keys(), "web1", &KEY, &[Right::Login], None).unwrap());
    servers.watch().unwrap();
    let (work, runtime) = (Work::start(&fleet).unwrap(), Builder::new_current_thread().enable_all().build().unwrap());
    let hello = || {
        let answer = runtime.block_on(work.ask(Asked::Hello, Some(KEY), &fleet));
        answer
            .map(|answer| serde_json::from_slice::<Value>(&answer.body).unwrap()["host"].to_string())
            .map_err(|failure| failure.error)
    };
    let soon = |wanted: Result<String, &str>| {
        let is_so = || hello() == wanted.clone().map_err(str::to_owned);
        for _ in 0..60 {
            if is_so() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{:?} is not {wanted:?}", hello());
    };
    soon(Err("the database has no fleet yet"));
    let set = |key: u8| {
        let key = keys(&[key]).present();
        let hex = key.to_string();
        cluster.sql_in(&database, 0, "DELETE FROM otp.fleet");
        let row = FleetRow { key, authority: [0; 32] };
        let sql = format!(
            "INSERT INTO otp.fleet (key, authority) VALUES ('\\x{hex}', '\\x{}')",
            "00".repeat(row.authority.len())
        );
        cluster.sql_in(&database, 0, &sql);
        hex
    };
    set(2);
    soon(Ok("\"web1\"".into()));
    let other = set(3);
    soon(Err(&format!("the keys of this verifier are not those of the fleet: its records are sealed under {other}")));
    // The file of keys is copied here.
    fleet.replace_keys(keys(&[3, 1]));
    soon(Ok("\"web1\"".into()));
}
