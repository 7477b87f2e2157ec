//! The state of jobs that several workers share: each job is done once, the urgent ones first.
//!
//! It uses a version, so that one of several workers gets a job, and an order by two columns. For a
//! plain queue, a Redis stream is the better choice.

use chrono::{DateTime, Utc};
use subconscious::{ColumnEnum, Db, RedisModel, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
#[column(rename_all = "lowercase")]
enum State {
    Waiting,
    Running,
    Done,
}

#[derive(Debug, RedisModel)]
struct Job {
    /// 0 until Redis assigns it.
    #[column(primary_key, auto_increment)]
    id: u64,
    what: String,
    #[column(index)]
    state: State,
    #[column(sort)]
    urgency: u8,
    #[column(created_at, sort)]
    created_at: Option<DateTime<Utc>>,
    worker: Option<String>,
    /// A save is refused if somebody else has saved the job since it was loaded.
    #[column(version)]
    version: u64,
}

impl Job {
    fn new(number: u8) -> Self {
        Self {
            id: 0,
            what: format!("send letter {number}"),
            state: State::Waiting,
            urgency: number % 3,
            created_at: None,
            worker: None,
            version: 0,
        }
    }

    /// Takes the most urgent job that waits; of several, the oldest.
    async fn next(db: &Db, worker: &str) -> Result<Option<Self>> {
        let waiting = Self::filter_by(|j| j.state.eq(State::Waiting))
            .order_by(|j| j.urgency.desc())
            .order_by(|j| j.created_at.asc());
        while let Some(mut job) = waiting.first(db).await? {
            (job.state, job.worker) = (State::Running, Some(worker.to_owned()));
            match job.save(db).await {
                Ok(()) => return Ok(Some(job)),
                // Another worker has taken it: look again.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Does jobs until none waits, and returns how many.
async fn work(db: Db, worker: &'static str) -> Result<u32> {
    let mut done = 0;
    while let Some(mut job) = Job::next(&db, worker).await? {
        job.state = State::Done;
        job.save(&db).await?;
        done += 1;
    }
    Ok(done)
}

#[tokio::main]
async fn main() -> Result<()> {
    let (db, _server) = recipes::open("recipes-jobs").await?;
    let mut jobs: Vec<Job> = (1..=30).map(Job::new).collect();
    Job::save_many(&db, &mut jobs).await?.into_result()?;
    println!("job {} waits: {}", jobs[0].id, jobs[0].what);

    let (anna, ben, carl) =
        futures::try_join!(work(db.clone(), "anna"), work(db.clone(), "ben"), work(db.clone(), "carl"))?;
    println!("done: {} by anna, ben and carl", anna + ben + carl);

    // How many are in which state, counted by the server from the indexes.
    for (state, count) in Job::all().count_by(&db, |j| j.state).await? {
        println!("{state:?}: {count}");
    }
    println!("forgotten: {}", Job::filter_by(|j| j.state.eq(State::Done)).delete(&db).await?);
    Ok(())
}
