//! Histories of writers and readers of a few hot records, with and without faults, are
//! linearizable: what was answered is what some order of single steps answers.
//!
//! Checked are the calls that are one step of the server: all writes of one record, `load`,
//! `exists`, and of the queries those that one call of a script answers, which are those of up to
//! 100 records that take less than the budget (here so much that they do). `save_many` and
//! `load_many` are one step for each record, at moments of their own. `Query::delete`, longer
//! queries and orders by several columns promise no moment at all, and are left out.
//!
//! The random numbers can be given again (`FAULT_SEED`), the schedule of tasks, server and faults
//! can't.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::Fixture;
use subconscious_tests::linear::{self, History, Model};
use subconscious_tests::proxy::Proxy;

use crate::{Random, rounds, seed};

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, RedisModel)]
struct Seat {
    #[column(primary_key)]
    id: u32,
    #[column(unique)]
    holder: Option<String>,
    count: i64,
    /// Another one in each write, so that a read tells which it saw.
    note: u64,
    #[column(version)]
    version: u64,
}

/// What a patch does besides adding one to the version.
#[derive(Debug, Clone, Default)]
struct Changes {
    expected: Option<u64>,
    note: Option<u64>,
    add: Option<i64>,
    holder: Option<Option<String>>,
}

#[derive(Debug, Clone)]
enum Call {
    Insert(Seat),
    Save(Seat),
    Update(Seat),
    Patch(u32, Changes),
    Delete(Seat),
    DeleteById(u32),
    Take(u32),
    Load(u32),
    Exists(u32),
    /// The records with one of these unique values.
    Held(Vec<String>),
    CountHeld(Vec<String>),
    All,
}

#[derive(Debug, Clone, PartialEq)]
enum Reply {
    Version(u64),
    Patched {
        version: u64,
        count: Option<i64>,
    },
    Found(Option<Seat>),
    Records(BTreeSet<Seat>),
    Is(bool),
    Count(u64),
    AlreadyExists,
    NotFound,
    Duplicate,
    Conflict(Option<u64>),
    /// The error says that nothing was done.
    NotDone,
}

impl Call {
    fn id(&self) -> Option<u32> {
        match self {
            Call::Insert(seat) | Call::Save(seat) | Call::Update(seat) | Call::Delete(seat) => Some(seat.id),
            Call::Patch(id, _) | Call::DeleteById(id) | Call::Take(id) | Call::Load(id) | Call::Exists(id) => Some(*id),
            Call::Held(_) | Call::CountHeld(_) | Call::All => None,
        }
    }

    fn saved(&self) -> Option<&Seat> {
        if let Call::Save(seat) = self { Some(seat) } else { None }
    }

    /// Whether it is a write, whose outcome may be unknown.
    fn writes(&self) -> bool {
        use Call::{Delete, DeleteById, Insert, Patch, Save, Take, Update};
        matches!(self, Insert(_) | Save(_) | Update(_) | Patch(..) | Delete(_) | DeleteById(_) | Take(_))
    }
}

/// What the documentation promises.
struct Seats;

type State = BTreeMap<u32, Seat>;

/// The records with one of these values.
fn held(state: &State, holders: &[String]) -> BTreeSet<Seat> {
    let is_held = |seat: &&Seat| seat.holder.as_ref().is_some_and(|holder| holders.contains(holder));
    state.values().filter(is_held).cloned().collect()
}

/// The state with the record, unless something is in its way: then the refusals, of which any may
/// be the one that is told.
fn put(state: &State, mut seat: Seat, mut refusals: Vec<Reply>) -> Result<(State, u64), Vec<Reply>> {
    let others = state.values().filter(|other| other.id != seat.id);
    if seat.holder.is_some() && others.into_iter().any(|other| other.holder == seat.holder) {
        refusals.push(Reply::Duplicate);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    seat.version = state.get(&seat.id).map_or(0, |stored| stored.version) + 1;
    let (mut next, version) = (state.clone(), seat.version);
    next.insert(seat.id, seat);
    Ok((next, version))
}

/// What a call does and answers, or what it is refused with.
fn outcome(state: &State, call: &Call) -> Result<(State, Reply), Vec<Reply>> {
    let stored = call.id().and_then(|id| state.get(&id));
    let version = stored.map(|stored| stored.version);
    let conflict = |expected: u64| (expected != version.unwrap_or(0)).then_some(Reply::Conflict(version));
    let without = |id: u32| {
        let mut next = state.clone();
        next.remove(&id);
        next
    };
    let saved = |seat: &Seat, refusal: Option<Reply>| {
        let (next, version) = put(state, seat.clone(), refusal.into_iter().collect())?;
        Ok((next, Reply::Version(version)))
    };
    let read = |reply: Reply| Ok((state.clone(), reply));
    match call {
        Call::Insert(seat) => saved(seat, stored.map(|_| Reply::AlreadyExists)),
        Call::Save(seat) => saved(seat, conflict(seat.version)),
        Call::Update(seat) => match stored {
            None => Err(vec![Reply::NotFound]),
            Some(_) => saved(seat, conflict(seat.version)),
        },
        Call::Patch(_, changes) => {
            let Some(mut seat) = stored.cloned() else { return Err(vec![Reply::NotFound]) };
            seat.note = changes.note.unwrap_or(seat.note);
            seat.count += changes.add.unwrap_or(0);
            seat.holder = changes.holder.clone().unwrap_or(seat.holder);
            let count = changes.add.map(|_| seat.count);
            let refusal = changes.expected.and_then(conflict);
            let (next, version) = put(state, seat, refusal.into_iter().collect())?;
            Ok((next, Reply::Patched { version, count }))
        }
        Call::Delete(seat) => match stored {
            None => read(Reply::Is(false)),
            Some(_) => {
                conflict(seat.version).map_or(Ok((without(seat.id), Reply::Is(true))), |refusal| Err(vec![refusal]))
            }
        },
        Call::DeleteById(id) => Ok((without(*id), Reply::Is(stored.is_some()))),
        Call::Take(id) => Ok((without(*id), Reply::Found(stored.cloned()))),
        Call::Load(_) => read(Reply::Found(stored.cloned())),
        Call::Exists(_) => read(Reply::Is(stored.is_some())),
        Call::Held(holders) => read(Reply::Records(held(state, holders))),
        Call::CountHeld(holders) => read(Reply::Count(held(state, holders).len() as u64)),
        Call::All => read(Reply::Records(state.values().cloned().collect())),
    }
}

impl Model for Seats {
    type State = State;
    type Call = Call;
    type Reply = Reply;

    fn step(state: &State, call: &Call, reply: Option<&Reply>) -> Vec<State> {
        match (outcome(state, call), reply) {
            (_, Some(Reply::NotDone)) => vec![state.clone()],
            (Ok((next, answered)), reply) if reply.is_none_or(|reply| *reply == answered) => vec![next],
            (Err(refusals), Some(reply)) if refusals.contains(reply) => vec![state.clone()],
            _ => Vec::new(),
        }
    }
}

/// Makes a call.
async fn make(db: &Db, call: Call) -> Result<Reply, Error> {
    let records = |seats: Vec<Seat>| Reply::Records(seats.into_iter().collect());
    Ok(match call {
        Call::Insert(mut seat) => seat.insert(db).await.map(|()| Reply::Version(seat.version))?,
        Call::Save(mut seat) => seat.save(db).await.map(|()| Reply::Version(seat.version))?,
        Call::Update(mut seat) => seat.update(db).await.map(|()| Reply::Version(seat.version))?,
        Call::Patch(id, Changes { expected, note, add, holder }) => {
            let patch = Seat::patch(db, id, |s| {
                let holder = holder.map(|holder| match holder {
                    Some(holder) => s.holder.set(holder),
                    None => s.holder.clear(),
                });
                let expected = expected.map(|version| s.version.expected(version));
                let (note, add) = (note.map(|note| s.note.set(note)), add.map(|by| s.count.incr(by)));
                [expected, note, add, holder].into_iter().flatten()
            });
            let patched = patch.await?;
            Reply::Patched { version: patched.get(|s| s.version).unwrap(), count: patched.get(|s| s.count) }
        }
        Call::Delete(seat) => Reply::Is(seat.delete(db).await?),
        Call::DeleteById(id) => Reply::Is(Seat::delete_by_id(db, id).await?),
        Call::Take(id) => Reply::Found(Seat::take(db, id).await?),
        Call::Load(id) => Reply::Found(Seat::load(db, id).await?),
        Call::Exists(id) => Reply::Is(Seat::exists(db, id).await?),
        Call::Held(holders) if holders.len() == 1 => {
            records(Seat::filter_by(|s| s.holder.eq(&holders[0])).fetch(db).await?)
        }
        Call::Held(holders) => records(Seat::filter_by(|s| s.holder.is_in(holders)).fetch(db).await?),
        Call::CountHeld(holders) => Reply::Count(Seat::filter_by(|s| s.holder.is_in(holders)).count(db).await?),
        Call::All => records(Seat::all().fetch(db).await?),
    })
}

/// What a call was answered; nothing if that is not known, which only faults may bring about.
fn reply(call: &Call, outcome: Result<Reply, Error>, faults: bool) -> Option<Reply> {
    Some(match outcome {
        Ok(reply) => reply,
        Err(Error::AlreadyExists { .. }) => Reply::AlreadyExists,
        Err(Error::NotFound { .. }) => Reply::NotFound,
        Err(Error::Duplicate { column: "holder", .. }) => Reply::Duplicate,
        Err(Error::Conflict { stored, .. }) => Reply::Conflict(stored.map(|stored| stored.parse().unwrap())),
        Err(Error::OutcomeUnknown { .. }) if faults && call.writes() => return None,
        Err(error @ Error::Redis(_)) if faults && error.is_connection() => Reply::NotDone,
        Err(error) => panic!("{call:?}: {error:?}"),
    })
}

/// Makes a call and notes it down.
async fn note(db: &Db, task: usize, call: Call, history: &History<Seats>, faults: bool) -> Option<Reply> {
    let operation = history.call(task, call.clone());
    let reply = reply(&call, make(db, call.clone()).await, faults)?;
    history.answer(operation, reply.clone());
    Some(reply)
}

/// Saves or loads records by one call, and notes each down.
async fn note_many(db: &Db, task: usize, calls: Vec<Call>, history: &History<Seats>, faults: bool) {
    let operations: Vec<usize> = calls.iter().map(|call| history.call(task, call.clone())).collect();
    let mut seats: Vec<Seat> = calls.iter().filter_map(Call::saved).cloned().collect();
    let outcomes = if seats.is_empty() {
        let ids = calls.iter().filter_map(Call::id);
        Seat::load_many(db, ids).await.map(|found| found.into_iter().map(|seat| Ok(Reply::Found(seat))).collect())
    } else {
        Seat::save_many(db, &mut seats).await.map(|report| {
            let mut outcomes: Vec<_> = seats.iter().map(|seat| Ok(Reply::Version(seat.version))).collect();
            for (at, error) in report.failed {
                outcomes[at] = Err(error);
            }
            outcomes
        })
    };
    let outcomes: Vec<Result<Reply, Error>> = match outcomes {
        Ok(outcomes) => outcomes,
        // Which of them were done is not known.
        Err(error) if faults && error.is_connection() => return,
        Err(error) => panic!("{calls:?}: {error:?}"),
    };
    for ((call, operation), outcome) in calls.iter().zip(operations).zip(outcomes) {
        if let Some(reply) = reply(call, outcome, faults) {
            history.answer(operation, reply);
        }
    }
}

/// How a history is made.
#[derive(Clone, Copy)]
struct Shape {
    tasks: usize,
    /// Of each task.
    calls: u64,
    records: u64,
    /// Values of the unique column; if there are none, records have nothing to do with each other.
    holders: u64,
    faults: bool,
}

const HOLDERS: [&str; 3] = ["ann", "bob", "cyd"];

fn some_call(random: &mut Random, shape: Shape, seen: &BTreeMap<u32, Seat>, note: u64) -> Call {
    let id = random.below(shape.records) as u32;
    let mut holder = || {
        let at = random.below(shape.holders + 1);
        HOLDERS.get(at as usize).filter(|_| at < shape.holders).map(|&holder| holder.to_owned())
    };
    let (holder, other) = (holder(), holder());
    let known = seen.get(&id).map_or(0, |seat| seat.version);
    let seat = Seat { id, holder: holder.clone(), count: random.below(100) as i64, note, version: known };
    let by = random.below(10) as i64 - 3;
    let holders = || holder.iter().chain(&other).cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    match random.below(if shape.holders > 0 { 27 } else { 21 }) {
        0..3 => Call::Insert(Seat { version: 0, ..seat }),
        3..6 => Call::Save(seat),
        6 => Call::Update(seat),
        7..10 => Call::Patch(id, Changes { add: Some(by), ..Changes::default() }),
        10 => Call::Patch(id, Changes { note: Some(note), ..Changes::default() }),
        11 => Call::Patch(id, Changes { note: Some(note), holder: Some(holder), ..Changes::default() }),
        12..15 => Call::Patch(id, Changes { expected: Some(known), add: Some(by), note: Some(note), holder: None }),
        15 => Call::Take(id),
        16 => Call::Delete(seat),
        17 => Call::DeleteById(id),
        18 | 19 => Call::Load(id),
        20 => Call::Exists(id),
        21..24 => Call::Held(holders()),
        24 => Call::CountHeld(holders()),
        _ => Call::All,
    }
}

async fn act(db: Db, task: usize, mut random: Random, shape: Shape, history: Arc<History<Seats>>) {
    let mut seen = BTreeMap::new();
    for number in 0..shape.calls {
        let call = some_call(&mut random, shape, &seen, 1000 * (task as u64 + 1) + number);
        let others = (0..shape.records as u32).filter(|id| Some(*id) != call.id());
        let many = match &call {
            _ if random.below(4) > 0 => None,
            Call::Save(seat) => Some(others.map(|id| Call::Save(Seat { id, holder: None, ..seat.clone() })).collect()),
            Call::Load(_) => Some(others.map(Call::Load).collect::<Vec<_>>()),
            _ => None,
        };
        if let Some(mut many) = many {
            many.push(call);
            note_many(&db, task, many, &history, shape.faults).await;
            continue;
        }
        let made = call.clone();
        match (made, note(&db, task, call, &history, shape.faults).await) {
            (_, Some(Reply::Found(Some(seat)))) => drop(seen.insert(seat.id, seat)),
            (_, Some(Reply::Records(seats))) => seen.extend(seats.into_iter().map(|seat| (seat.id, seat))),
            (Call::Insert(seat) | Call::Save(seat) | Call::Update(seat), Some(Reply::Version(version))) => {
                drop(seen.insert(seat.id, Seat { version, ..seat }));
            }
            (Call::Patch(id, _), Some(Reply::Patched { version, .. })) => {
                seen.entry(id).and_modify(|seat| seat.version = version);
            }
            _ => {}
        }
    }
}

/// Breaks connections, delays writes and forgets scripts: a few times, as each operation of unknown
/// outcome makes the search longer.
async fn disturb(f: Arc<Fixture>, proxies: Arc<Vec<Proxy>>, mut random: Random) {
    for _ in 0..=random.below(3) {
        tokio::time::sleep(Duration::from_micros(random.below(15_000))).await;
        match random.below(10) {
            0..4 => proxies[random.below(proxies.len() as u64) as usize].cut_the_next_reply(),
            4 | 5 => f.run(redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])).await,
            // The writes in flight are not answered in time, and happen later.
            6 => f.run(redis::cmd("CLIENT").arg(&["PAUSE", "70", "WRITE"])).await,
            _ => f.run(redis::cmd("SCRIPT").arg("FLUSH")).await,
        }
    }
}

/// What the checks of a test came to.
#[derive(Default)]
struct Sums {
    histories: u64,
    operations: usize,
    unknown: usize,
    not_done: usize,
    refused: usize,
    met: usize,
    most: usize,
    checking: Duration,
}

/// Makes and checks so many histories on a server of their own.
async fn histories(shape: Shape, number: u64, random: &mut Random, sums: &mut Sums) {
    let server = TestServer::builder().tcp().start().await.unwrap();
    let f = Arc::new(Fixture::on(server.url()).await);
    let (mut proxies, mut connections) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        proxies.push(Proxy::start(&server).await);
        let url = if shape.faults { proxies[proxies.len() - 1].url() } else { server.url().to_owned() };
        let db = Db::builder().query_budget(Duration::from_secs(1));
        let db = db.response_timeout(if shape.faults { Duration::from_millis(50) } else { Duration::from_secs(30) });
        connections.push(db.open(&url).await.unwrap());
    }
    let proxies = Arc::new(proxies);
    for number in 0..number {
        let namespace = format!("{}-{number}", f.db.namespace());
        let history = Arc::new(History::<Seats>::default());
        let disturbing = Random(random.below(u64::MAX));
        let disturbing = shape.faults.then(|| tokio::spawn(disturb(f.clone(), proxies.clone(), disturbing)));
        let tasks = (0..shape.tasks).map(|task| {
            // Two tasks on each connection: their calls travel together, and are lost together.
            let db = connections[task % connections.len()].with_namespace(&namespace).unwrap();
            tokio::spawn(act(db, task, Random(random.below(u64::MAX)), shape, history.clone()))
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        if let Some(disturbing) = disturbing {
            disturbing.abort();
        }
        // What is there in the end; the connection may have been broken.
        let db = f.db.with_namespace(&namespace).unwrap();
        while Seat::exists(&db, 0u32).await.is_err() {}
        for id in 0..shape.records as u32 {
            note(&db, shape.tasks, Call::Load(id), &history, false).await;
        }
        if shape.holders > 0 {
            note(&db, shape.tasks, Call::All, &history, false).await;
            for holder in &HOLDERS[..shape.holders as usize] {
                note(&db, shape.tasks, Call::Held(vec![(*holder).to_owned()]), &history, false).await;
            }
        }
        let operations = Arc::into_inner(history).unwrap().into_operations();
        let begin = Instant::now();
        let met = match shape.holders {
            0 => linear::check_each::<Seats, _>(&State::new(), &operations, Call::id),
            _ => linear::check::<Seats>(&State::new(), &operations),
        };
        let met = met.unwrap_or_else(|refusal| panic!("{refusal}"));
        sums.checking += begin.elapsed();
        let report = Seat::check(&db).await.unwrap();
        assert!(report.is_clean(), "{report}");
        sums.histories += 1;
        sums.operations += operations.len();
        sums.unknown += operations.iter().filter(|operation| operation.answer.is_none()).count();
        let replies = || operations.iter().filter_map(|operation| Some(&operation.answer.as_ref()?.0));
        sums.not_done += replies().filter(|reply| **reply == Reply::NotDone).count();
        sums.refused += replies().filter(|reply| matches!(reply, Reply::Conflict(_) | Reply::Duplicate)).count();
        sums.met += met;
        sums.most = sums.most.max(met);
    }
}

async fn many_histories(shape: Shape, number: u64) {
    let mut random = Random(seed());
    let (mut sums, begin) = (Sums::default(), Instant::now());
    for _ in 0..rounds(1) {
        histories(shape, number, &mut random, &mut sums).await;
    }
    let Sums { histories, operations, unknown, not_done, refused, met, most, checking } = sums;
    println!(
        "{histories} histories of {operations} operations in {:.1?}: {unknown} of unknown outcome, {not_done} not \
         done, {refused} conflicts and duplicates; {met} pairs of operations and state met, at most {most} in one, in {checking:.1?}",
        begin.elapsed()
    );
}

const CONNECTED: Shape = Shape { tasks: 4, calls: 10, records: 3, holders: 2, faults: false };
const APART: Shape = Shape { tasks: 4, calls: 25, records: 3, holders: 0, faults: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_share_unique_values_are_linearizable() {
    many_histories(CONNECTED, 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_their_own_are_linearizable() {
    many_histories(APART, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_share_unique_values_are_linearizable_when_connections_break() {
    many_histories(Shape { faults: true, ..CONNECTED }, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_their_own_are_linearizable_when_connections_break() {
    many_histories(Shape { faults: true, ..APART }, 20).await;
}
