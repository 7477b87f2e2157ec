//! Models on a cluster.

use std::time::Duration;

use futures::future::join_all;
use subconscious::{Db, RedisModel};
use subconscious_tests::cluster::{Cluster, ClusterNode};
use subconscious_tests::proxy::Proxy;
use subconscious_tests::with_protocol;

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Account {
    #[column(primary_key, auto_increment)]
    id: u64,
    #[column(unique)]
    email: String,
    #[column(index)]
    country: String,
    #[column(sort)]
    balance: i64,
}

fn account(number: u64) -> Account {
    let country = ["CH", "DE", "AT"][number as usize % 3].to_owned();
    Account { id: 0, email: format!("{number}@example.org"), country, balance: number as i64 * 7 % 100 }
}

#[tokio::test]
async fn a_model_works_as_on_one_server() {
    let cluster = Cluster::start(3, false, Duration::from_secs(5)).await;
    // By the address of a cluster, and by that of a single node.
    for url in [cluster.url(), cluster.nodes[2].server.url().to_owned()] {
        for namespace in ["", "staging"] {
            let db = Db::builder().namespace(namespace).open(&with_protocol(&url)).await.unwrap();
            db.ping().await.unwrap();
            let mut accounts: Vec<Account> = (0..300).map(account).collect();
            for account in Account::all().fetch(&db).await.unwrap() {
                account.delete(&db).await.unwrap();
            }
            assert_eq!(Account::save_many(&db, &mut accounts).await.unwrap().into_result().unwrap(), 300);
            let swiss = Account::filter_by(|a| a.country.eq("CH") & a.balance.ge(50));
            let expected = accounts.iter().filter(|a| a.country == "CH" && a.balance >= 50).count();
            assert_eq!(swiss.count(&db).await.unwrap(), expected as u64);
            assert_eq!(swiss.order_by(|a| a.balance.desc()).fetch(&db).await.unwrap().len(), expected);
            assert!(account(7).insert(&db).await.unwrap_err().is_duplicate());
            let patches = (0..50).map(|_| Account::patch(&db, accounts[0].id, |a| a.balance.incr(1)));
            join_all(patches).await.into_iter().for_each(|patched| drop(patched.unwrap()));
            assert_eq!(Account::load(&db, accounts[0].id).await.unwrap().unwrap().balance, 50);
            assert!(Account::check(&db).await.unwrap().is_clean());
        }
    }
}

#[tokio::test]
async fn loads_and_queries_ask_replicas_if_that_is_wanted() {
    let cluster = Cluster::start(3, true, Duration::from_secs(5)).await;
    let slot: u16 = cluster.nodes[0].run(redis::cmd("CLUSTER").arg("KEYSLOT").arg("{Account}:meta")).await;
    let master = cluster.owner_of(slot).await;
    let (replica, master) = (&cluster.nodes[cluster.masters + master], &cluster.nodes[master]);
    let db = Db::builder().read_from(cluster.url()).open(&cluster.url()).await.unwrap();
    db.ping().await.unwrap();
    let mut accounts: Vec<Account> = (0..300).map(account).collect();
    Account::save_many(&db, &mut accounts).await.unwrap().into_result().unwrap();
    // A connection waits for its own writes, and so for those before them.
    let () = master.run(redis::cmd("SET").arg("{Account}").arg(1)).await;
    let replicas: u8 = master.run(redis::cmd("WAIT").arg(1).arg(10_000)).await;
    assert_eq!(replicas, 1);

    let calls = async |node: &ClusterNode, command: &str| {
        let info: String = node.run(redis::cmd("INFO").arg("commandstats")).await;
        let line = format!("cmdstat_{command}:calls=");
        let calls = info.lines().find_map(|said| said.strip_prefix(&line)?.split(',').next()?.parse().ok());
        calls.unwrap_or(0_u64)
    };
    let before = (calls(master, "evalsha").await, calls(master, "hmget").await);
    let of_replica = calls(replica, "hmget").await;
    assert_eq!(Account::load(&db, accounts[7].id).await.unwrap().as_ref(), Some(&accounts[7]));
    let swiss = Account::filter_by(|a| a.country.eq("CH") & a.balance.ge(50)).order_by(|a| a.balance.desc());
    let mut expected: Vec<&Account> = accounts.iter().filter(|a| a.country == "CH" && a.balance >= 50).collect();
    expected.sort_by_key(|account| std::cmp::Reverse(account.balance));
    let found = swiss.fetch(&db).await.unwrap();
    let balances = |accounts: &[&Account]| accounts.iter().map(|account| account.balance).collect::<Vec<_>>();
    assert_eq!(balances(&found.iter().collect::<Vec<_>>()), balances(&expected));
    assert_eq!(before, (calls(master, "evalsha").await, calls(master, "hmget").await), "the master was asked");
    assert!(calls(replica, "hmget").await > of_replica);
}

#[tokio::test]
async fn what_a_cluster_lacks_is_said() {
    let cluster = Cluster::start(3, false, Duration::from_secs(5)).await;
    let slot: u16 = cluster.nodes[0].run(redis::cmd("CLUSTER").arg("KEYSLOT").arg("{Account}:meta")).await;
    let owner = cluster.owner_of(slot).await;
    let up = &cluster.nodes[(owner + 1) % 3];
    let hurried = Db::builder().retries(0).connection_timeout(Duration::from_millis(500));
    let open = async |url: &str| hurried.clone().open(url).await.map_err(|error| error.to_string());

    // One of the nodes is enough.
    let db = open(&format!("redis-cluster://127.0.0.1:1,127.0.0.1:{}", up.port())).await.unwrap();
    account(1).insert(&db).await.unwrap();
    let down = open("redis-cluster://127.0.0.1:1,127.0.0.1:2").await.unwrap_err();
    assert!(down.starts_with("127.0.0.1:1, 127.0.0.1:2: no server answers. See whether it is running"), "{down}");
    let database = open(&format!("redis-cluster://127.0.0.1:{}/3", up.port())).await.unwrap_err();
    assert!(database.starts_with("on a cluster, only database 0 can be used. Leave the database out"), "{database}");
    open(&format!("redis://127.0.0.1:{}/3", up.port())).await.unwrap_err();
    assert!(open("redis-cluster://user:a/b@h:1").await.unwrap_err().contains("there is a `/`, `?` or `#` in its user"));
    assert!(open("redis-cluster://").await.unwrap_err().starts_with("the address cannot be read"));

    // A slot without a node, and a node that is down.
    for node in &cluster.nodes {
        let () = node.run(redis::cmd("CLUSTER").arg("DELSLOTS").arg(slot)).await;
    }
    let without = account(2).insert(&db).await.unwrap_err();
    assert!(without.is_unavailable() && !without.is_outcome_unknown(), "{without:?}");
    assert!(without.to_string().starts_with("the cluster has no master for the keys of the model"), "{without}");
    for node in &cluster.nodes {
        let () =
            node.run(redis::cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&cluster.nodes[owner].id)).await;
    }
    account(2).insert(&db).await.unwrap();
    let port = cluster.nodes[owner].port();
    let pid = cluster.nodes[owner].server.pid().to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    // The first call may find out that its connection has ended.
    let _ = Account::exists(&db, 1).await;
    let gone = account(3).insert(&db).await.unwrap_err();
    assert!(gone.is_unavailable() && !gone.is_outcome_unknown(), "{gone:?}");
    assert!(gone.to_string().starts_with(&format!("127.0.0.1:{port}: no server answers")), "{gone}");
    assert!(db.ping().await.unwrap_err().to_string().contains(&format!(":{port}: ")));
}

#[tokio::test]
async fn a_lost_reply_is_not_asked_for_again() {
    let cluster = Cluster::start(3, false, Duration::from_secs(5)).await;
    // A proxy before each node, whose port the nodes name.
    let proxies = join_all(cluster.nodes.iter().map(|node| Proxy::start(&node.server))).await;
    let ports: Vec<u16> = proxies.iter().map(Proxy::port).collect();
    for (node, port) in cluster.nodes.iter().zip(&ports) {
        let () = node.run(redis::cmd("CONFIG").arg("SET").arg("cluster-announce-port").arg(*port)).await;
    }
    for node in &cluster.nodes {
        while !node.ranges().await.iter().all(|(.., nodes)| ports.contains(&nodes[0].1)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let db = Db::open(&proxies[0].url()).await.unwrap();
    let mut accounts: Vec<Account> = (0..100).map(account).collect();
    Account::save_many(&db, &mut accounts).await.unwrap().into_result().unwrap();
    let slot: u16 = cluster.nodes[0].run(redis::cmd("CLUSTER").arg("KEYSLOT").arg("{Account}:meta")).await;
    let proxy = &proxies[cluster.owner_of(slot).await];

    let id = accounts[0].id;
    let add = async || Account::patch(&db, id, |a| a.balance.incr(1)).await;
    add().await.unwrap();
    for round in 1..=5 {
        proxy.cut_the_next_reply();
        let unknown = add().await.unwrap_err();
        assert!(unknown.is_outcome_unknown(), "{unknown:?}");
        // The connection is made anew, and the call was made once.
        assert_eq!(Account::load(&db, id).await.unwrap().unwrap().balance, 1 + round);
    }
    // In a pipeline, each record is told of.
    proxy.cut_the_next_reply();
    let report = Account::save_many(&db, &mut accounts[1..]).await.unwrap();
    assert!(report.failures > 0);
    assert!(report.failed.iter().all(|(_, error)| error.is_outcome_unknown()), "{report:?}");
    assert_eq!(proxies.iter().map(Proxy::cuts).sum::<usize>(), 6);
    assert!(Account::check(&db).await.unwrap().is_clean());
}
