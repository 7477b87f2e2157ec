//! Checks whether a concurrent history is linearizable: whether each operation can have happened at
//! one moment between its call and its answer, so that all together are a run of a sequential
//! specification (Herlihy and Wing, "Linearizability: a correctness condition for concurrent
//! objects", TOPLAS 12(3), 1990).
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", JPDC 17, 1993):
//! of the operations that no other one precedes, one is taken as the next, and taken back where
//! that leads nowhere. With it, it is remembered which sets of operations have led to which states,
//! so that none of these is gone on from twice (Lowe, "Testing for linearizability", Concurrency
//! and Computation: Practice and Experience 29(4), 2017). Operations on things that have nothing to
//! do with each other are checked apart (Horn and Kroening, "Faster linearizability checking via
//! P-compositionality", FORTE 2015).

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::Mutex;

/// What operations do, one after the other.
pub trait Model {
    /// What they change.
    type State: Clone + Eq + Hash + Debug;
    /// What is asked.
    type Call: Debug;
    /// What is answered.
    type Reply: Debug;

    /// The states that may follow if the call happens in this state and is answered so: none if it
    /// can't be. Without a reply, those that may follow with any.
    fn step(state: &Self::State, call: &Self::Call, reply: Option<&Self::Reply>) -> Vec<Self::State>;
}

/// One operation of a history.
#[derive(Debug, Clone)]
pub struct Operation<C, R> {
    /// Who called.
    pub task: usize,
    /// What was asked.
    pub call: C,
    /// When it was called.
    pub called: u64,
    /// What was answered, and when. If nothing was, it may happen at any time after the call, or
    /// never.
    pub answer: Option<(R, u64)>,
}

/// Operations as they go on, in the order of their calls. Time is counted in calls and answers, so
/// that none are at the same time.
pub struct History<M: Model> {
    operations: Mutex<(u64, Operations<M>)>,
}

/// The operations of a history.
pub type Operations<M> = Vec<Operation<<M as Model>::Call, <M as Model>::Reply>>;

impl<M: Model> Default for History<M> {
    fn default() -> Self {
        Self { operations: Mutex::new((0, Vec::new())) }
    }
}

impl<M: Model> History<M> {
    /// Notes that an operation is about to be called, and says as which.
    pub fn call(&self, task: usize, call: M::Call) -> usize {
        let (time, operations) = &mut *self.operations.lock().unwrap();
        *time += 1;
        operations.push(Operation { task, call, called: *time, answer: None });
        operations.len() - 1
    }

    /// Notes that an operation was answered.
    pub fn answer(&self, operation: usize, reply: M::Reply) {
        let (time, operations) = &mut *self.operations.lock().unwrap();
        *time += 1;
        operations[operation].answer = Some((reply, *time));
    }

    /// The operations so far.
    pub fn into_operations(self) -> Operations<M> {
        self.operations.into_inner().unwrap().1
    }
}

/// Why a history is not linearizable. It reads as its shortest beginning that is not.
pub struct Refusal {
    /// The operations of that beginning; the last answer that came is the one that can't be.
    pub operations: Vec<String>,
    /// States that the others lead to.
    pub states: Vec<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no order of these operations explains their answers:")?;
        for operation in &self.operations {
            writeln!(f, "  {operation}")?;
        }
        writeln!(f, "but for the marked one, they may lead to:")?;
        for state in &self.states {
            writeln!(f, "  {state}")?;
        }
        Ok(())
    }
}

impl Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An operation up to some moment.
struct Seen<'a, M: Model> {
    task: usize,
    call: &'a M::Call,
    called: u64,
    answer: Option<(&'a M::Reply, u64)>,
}

/// Says how many pairs of a set of operations and a state the search met.
///
/// # Errors
///
/// If the operations are not linearizable.
pub fn check<M: Model>(initial: &M::State, operations: &[Operation<M::Call, M::Reply>]) -> Result<usize, Refusal> {
    check_some::<M>(initial, &operations.iter().collect::<Vec<_>>())
}

/// The same, if calls of different keys have nothing to do with each other: each key begins in this
/// state.
///
/// # Errors
///
/// If the operations of a key are not linearizable; the first such.
pub fn check_each<M: Model, K: Ord>(
    initial: &M::State,
    operations: &[Operation<M::Call, M::Reply>],
    key: impl Fn(&M::Call) -> K,
) -> Result<usize, Refusal> {
    let mut parts: BTreeMap<K, Vec<_>> = BTreeMap::new();
    for operation in operations {
        parts.entry(key(&operation.call)).or_default().push(operation);
    }
    parts.values().map(|part| check_some::<M>(initial, part)).sum()
}

fn check_some<M: Model>(initial: &M::State, operations: &[&Operation<M::Call, M::Reply>]) -> Result<usize, Refusal> {
    let until = |end: u64| -> Vec<Seen<'_, M>> {
        let mut seen: Vec<_> = operations
            .iter()
            .filter(|operation| operation.called <= end)
            .map(|&Operation { task, call, called, answer }| {
                let answer = answer.as_ref().filter(|(_, at)| *at <= end).map(|(reply, at)| (reply, *at));
                Seen { task: *task, call, called: *called, answer }
            })
            .collect();
        seen.sort_by_key(|operation| operation.called);
        seen
    };
    let met = match search(initial, &until(u64::MAX)) {
        Ok(met) => return Ok(met),
        Err(states) => states,
    };
    // What begins a linearizable history is one.
    let mut ends: Vec<u64> = operations.iter().filter_map(|operation| Some(operation.answer.as_ref()?.1)).collect();
    ends.sort_unstable();
    let shortest = ends.partition_point(|&end| search(initial, &until(end)).is_ok());
    let (end, states) = match ends.get(shortest) {
        Some(&end) => (end, search(initial, &until(end)).err().unwrap_or_default()),
        None => (u64::MAX, met),
    };
    Err(Refusal {
        operations: until(end).iter().map(|operation| describe(operation, end)).collect(),
        states: states.iter().map(|state| format!("{state:?}")).collect(),
    })
}

fn describe<M: Model>(operation: &Seen<'_, M>, end: u64) -> String {
    let Seen { task, call, called, answer } = operation;
    match answer {
        Some((reply, at)) => {
            let mark = if *at == end { "  <== can't be" } else { "" };
            format!("{called:>4} to {at:<4} task {task}: {call:?} -> {reply:?}{mark}")
        }
        None => format!("{called:>4} to ...  task {task}: {call:?} -> no answer"),
    }
}

/// Which operations have happened, as bits.
type Happened = Box<[u64]>;

/// Says how many pairs of a set of operations and a state were met; if all lead nowhere, the states
/// where the most of the answered operations had happened.
fn search<M: Model>(initial: &M::State, operations: &[Seen<'_, M>]) -> Result<usize, Vec<M::State>> {
    // What was answered first is tried first, which is mostly right; the last that is put on the
    // stack is tried first.
    let mut latest: Vec<usize> = (0..operations.len()).collect();
    latest.sort_by_key(|&at| std::cmp::Reverse(operations[at].answer.map_or(u64::MAX, |(_, answered)| answered)));
    let mut met: HashSet<(Happened, M::State)> = HashSet::new();
    let mut stack = vec![(vec![0; operations.len().div_ceil(64)].into_boxed_slice(), initial.clone())];
    let (mut fewest, mut nearest) = (usize::MAX, Vec::new());
    while let Some((happened, state)) = stack.pop() {
        let open = || latest.iter().copied().filter(|&at| happened[at / 64] >> (at % 64) & 1 == 0);
        let answers = || open().filter_map(|at| operations[at].answer);
        // What was called after another one was answered can't happen before that one.
        let Some(first) = answers().map(|(_, answered)| answered).min() else { return Ok(met.len()) };
        let left = answers().count();
        if left < fewest {
            (fewest, nearest) = (left, Vec::new());
        }
        if left == fewest && !nearest.contains(&state) {
            nearest.push(state.clone());
        }
        for at in open().filter(|&at| operations[at].called < first) {
            let Seen { call, answer, .. } = &operations[at];
            for next in M::step(&state, call, answer.map(|(reply, _)| reply)) {
                // What was not answered and changes nothing may as well not have happened.
                if answer.is_none() && next == state {
                    continue;
                }
                let mut happened = happened.clone();
                happened[at / 64] |= 1 << (at % 64);
                if met.insert((happened.clone(), next.clone())) {
                    stack.push((happened, next));
                }
            }
        }
    }
    Err(nearest)
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;
