//! Moves a table of SQLite into Redis, with ids, versions and times, and compares all of it
//! afterwards. `cargo run --release --bin import -- 1000000` moves so many rows.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeZone, Utc};
use futures::stream;
use rusqlite::{Connection, Row};
use subconscious::{RedisModel, SaveReport};
use tokio::sync::mpsc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Customer {
    #[column(primary_key, auto_increment)]
    id: u64,
    #[column(unique)]
    email: String,
    #[column(index)]
    country: Option<String>,
    #[column(sort)]
    spent: i64,
    #[column(version)]
    version: u32,
    #[column(created_at, sort)]
    joined: DateTime<Utc>,
}

/// A table as a program may have it.
fn make(file: &Path, rows: u64) -> rusqlite::Result<()> {
    let mut table = Connection::open(file)?;
    table.execute_batch(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT, country TEXT, spent INTEGER, version INTEGER, joined INTEGER)",
    )?;
    let change = table.transaction()?;
    let mut insert = change.prepare("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)")?;
    for at in 0..rows {
        // Ids have gaps, as some customers have gone.
        let id = at * 3 + 1;
        let country = ["CH", "DE", "FR"].get(at as usize % 4);
        let joined = 1_500_000_000_000_i64 + (at * 7_919_000 % 200_000_000_000) as i64;
        insert.execute((
            id,
            format!("customer{id}@example.org"),
            country,
            (at * 31 % 1_000) as i64 - 100,
            at % 50 + 1,
            joined,
        ))?;
    }
    drop(insert);
    change.commit()
}

fn customer(row: &Row<'_>) -> rusqlite::Result<Customer> {
    let joined = Utc.timestamp_millis_opt(row.get("joined")?).single().unwrap_or_default();
    Ok(Customer {
        id: row.get::<_, i64>("id")? as u64,
        email: row.get("email")?,
        country: row.get("country")?,
        spent: row.get("spent")?,
        version: row.get("version")?,
        joined,
    })
}

/// Sends all rows, and waits whenever Redis is slower. SQLite blocks, so this has a thread of its
/// own.
fn read(file: &Path, rows: &mpsc::Sender<rusqlite::Result<Customer>>) -> rusqlite::Result<()> {
    let table = Connection::open(file)?;
    let mut all = table.prepare("SELECT * FROM customers ORDER BY id")?;
    for row in all.query_map((), customer)? {
        if rows.blocking_send(row).is_err() {
            // Nobody wants more.
            break;
        }
    }
    Ok(())
}

/// The rows as a stream. An error of SQLite is its last item.
fn rows(file: PathBuf) -> mpsc::Receiver<rusqlite::Result<Customer>> {
    let (send, rows) = mpsc::channel(1_000);
    std::thread::spawn(move || {
        if let Err(error) = read(&file, &send) {
            let _ = send.blocking_send(Err(error));
        }
    });
    rows
}

/// Draws a bar, if somebody looks.
fn draw(report: &SaveReport, rows: u64) {
    if std::io::stderr().is_terminal() {
        let done = report.saved + report.failures;
        let width = (40 * done / rows.max(1)) as usize;
        eprint!("\r[{:<40}] {done} of {rows}", "#".repeat(width));
        let _ = std::io::stderr().flush();
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let count = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop.sqlite");
    make(&file, count)?;
    let (db, _server) = recipes::open("recipes-import").await?;

    let mut source = rows(file.clone());
    let all = stream::poll_fn(move |cx| source.poll_recv(cx));
    let report = Customer::import(&db, all).progress(|so_far| draw(so_far, count)).await?;
    for (position, error) in &report.failed {
        println!("row {position}: {error}");
    }
    println!("imported {} of {count} rows", report.saved);

    // Each row again, beside the record with its id.
    let (mut source, mut equal) = (rows(file), 0);
    let mut some = Vec::new();
    while source.recv_many(&mut some, 500).await > 0 {
        let rows: Vec<Customer> = some.drain(..).collect::<Result<_, _>>()?;
        let records = Customer::load_many(&db, rows.iter().map(|row| row.id)).await?;
        equal += rows.into_iter().zip(records).filter(|(row, record)| record.as_ref() == Some(row)).count();
    }
    println!("equal: {equal}");

    // A new customer comes after all of them.
    let mut new =
        Customer { id: 0, email: "new@example.org".into(), country: None, spent: 0, version: 0, joined: Utc::now() };
    new.save(&db).await?;
    println!("the next id: {}", new.id);
    println!("customers in CH: {}", Customer::filter_by(|c| c.country.eq("CH")).count(&db).await?);
    Customer::all().delete(&db).await?;
    Ok(())
}
