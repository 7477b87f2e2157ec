use proptest::prelude::*;

use super::*;

/// A number: written, added to, read.
struct Number;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    Write(i64),
    /// Answers the sum.
    Add(i64),
    Read,
}
use Call::{Add, Read, Write};

fn does(state: i64, call: Call) -> (i64, i64) {
    match call {
        Write(value) => (value, 0),
        Add(by) => (state + by, state + by),
        Read => (state, state),
    }
}

impl Model for Number {
    type State = i64;
    type Call = Call;
    type Reply = i64;

    fn step(state: &i64, call: &Call, reply: Option<&i64>) -> Vec<i64> {
        let (next, answered) = does(*state, *call);
        if reply.is_none_or(|reply| *reply == answered) { vec![next] } else { Vec::new() }
    }
}

fn done(call: Call, called: u64, answered: u64, reply: i64) -> Operation<Call, i64> {
    Operation { task: 0, call, called, answer: Some((reply, answered)) }
}

fn lost(call: Call, called: u64) -> Operation<Call, i64> {
    Operation { task: 0, call, called, answer: None }
}

fn is_linearizable(operations: &[Operation<Call, i64>]) -> bool {
    check::<Number>(&0, operations).is_ok()
}

#[test]
fn histories_that_are_known_to_be_linearizable_are_accepted() {
    let cases = [
        vec![],
        vec![done(Write(1), 1, 2, 0), done(Read, 3, 4, 1)],
        // A read beside a write sees what was before or after it.
        vec![done(Write(1), 1, 4, 0), done(Read, 2, 3, 0)],
        vec![done(Write(1), 1, 4, 0), done(Read, 2, 3, 1)],
        // Writes beside each other, in either order; the answers' order says nothing.
        vec![done(Write(1), 1, 4, 0), done(Write(2), 2, 3, 0), done(Read, 5, 6, 1)],
        vec![done(Write(1), 1, 4, 0), done(Write(2), 2, 3, 0), done(Read, 5, 6, 2)],
        // Herlihy and Wing's idea of an order other than that of the calls.
        vec![
            done(Write(1), 1, 8, 0),
            done(Read, 2, 3, 0),
            done(Write(2), 4, 7, 0),
            done(Read, 5, 6, 2),
            done(Read, 9, 10, 1),
        ],
        vec![done(Add(1), 1, 4, 2), done(Add(1), 2, 3, 1), done(Read, 5, 6, 2)],
    ];
    for operations in cases {
        check::<Number>(&0, &operations).unwrap();
    }
}

#[test]
fn histories_that_are_known_not_to_be_linearizable_are_refused() {
    let cases = [
        vec![done(Read, 1, 2, 7)],
        // A stale read.
        vec![done(Write(1), 1, 2, 0), done(Read, 3, 4, 0)],
        // Two reads beside a write, of which the later one goes back.
        vec![done(Write(1), 1, 6, 0), done(Read, 2, 3, 1), done(Read, 4, 5, 0)],
        // Two readers who see two writes in different orders.
        vec![
            done(Write(1), 1, 10, 0),
            done(Write(2), 2, 11, 0),
            done(Read, 3, 4, 1),
            done(Read, 5, 8, 2),
            done(Read, 9, 12, 1),
        ],
        // The same sum twice: an update was lost. A sum left out: one was done twice.
        vec![done(Add(1), 1, 3, 1), done(Add(1), 2, 4, 1)],
        vec![done(Add(1), 1, 3, 1), done(Add(1), 2, 4, 3)],
    ];
    for operations in cases {
        assert!(!is_linearizable(&operations), "{operations:?}");
    }
}

#[test]
fn what_was_not_answered_happens_at_any_time_after_its_call_once_or_never() {
    for (read, again, accepted) in
        [(0, 0, true), (0, 1, true), (1, 1, true), (1, 0, false), (2, 2, false), (1, 2, false)]
    {
        let operations = vec![lost(Add(1), 1), done(Read, 2, 3, read), done(Read, 4, 5, again)];
        assert_eq!(is_linearizable(&operations), accepted, "{read}, {again}");
    }
    // Not before its call.
    assert!(!is_linearizable(&[done(Read, 1, 2, 1), lost(Add(1), 3)]));
    // Two of them add up, in their time.
    let two = |reads: [i64; 2]| {
        vec![lost(Add(1), 1), done(Read, 2, 3, reads[0]), lost(Add(2), 4), done(Read, 5, 6, reads[1])]
    };
    assert!([[0, 3], [1, 3], [0, 2], [1, 1]].into_iter().all(|reads| is_linearizable(&two(reads))));
    assert!([[2, 2], [3, 3], [1, 2], [1, 4]].into_iter().all(|reads| !is_linearizable(&two(reads))));
}

#[test]
fn a_refusal_reads_as_the_shortest_beginning() {
    let operations = vec![
        done(Write(5), 1, 2, 0),
        lost(Add(1), 3),
        done(Read, 4, 6, 7),
        done(Read, 5, 7, 5),
        done(Write(7), 8, 9, 0),
    ];
    let refusal = check::<Number>(&0, &operations).unwrap_err();
    let expected = "no order of these operations explains their answers:
     1 to 2    task 0: Write(5) -> 0
     3 to ...  task 0: Add(1) -> no answer
     4 to 6    task 0: Read -> 7  <== can't be
     5 to ...  task 0: Read -> no answer
but for the marked one, they may lead to:
  5
  6
";
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn keys_are_checked_apart() {
    // As one number it can't be, as two it can.
    let operations =
        vec![done(Write(1), 1, 2, 0), done(Write(10), 3, 4, 0), done(Write(1), 5, 6, 0), done(Read, 7, 8, 10)];
    assert!(!is_linearizable(&operations));
    let key = |call: &Call| matches!(call, Write(1));
    check_each::<Number, bool>(&0, &operations, key).unwrap();
    let refusal = check_each::<Number, bool>(&0, &operations, |_| true).unwrap_err();
    assert_eq!(refusal.operations.len(), 4);
}

#[test]
fn a_history_keeps_calls_and_answers_in_order() {
    let history = History::<Number>::default();
    let write = history.call(0, Write(1));
    let read = history.call(1, Read);
    history.answer(read, 1);
    history.answer(write, 0);
    history.call(1, Read);
    let operations = history.into_operations();
    let times: Vec<_> = operations.iter().map(|o| (o.called, o.answer.map(|(_, at)| at))).collect();
    assert_eq!(times, [(1, Some(4)), (2, Some(3)), (5, None)]);
}

/// All orders of all subsets that have what was answered: slow, and plainly right.
fn by_hand(state: i64, left: &[Operation<Call, i64>]) -> bool {
    if left.iter().all(|operation| operation.answer.is_none()) {
        return true;
    }
    (0..left.len()).any(|at| {
        let Operation { call, called, answer, .. } = left[at];
        let (next, answered) = does(state, call);
        let mut rest = left.to_vec();
        rest.remove(at);
        let first = rest.iter().all(|other| other.answer.is_none_or(|(_, end)| called < end));
        first && answer.is_none_or(|(reply, _)| reply == answered) && by_hand(next, &rest)
    })
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![(1i64..3).prop_map(Write), (1i64..3).prop_map(Add), Just(Read)]
}

/// A call; how long before its moment it was called, and after it answered; whether the answer was
/// lost.
type Part = (Call, u64, u64, bool);

fn parts() -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec((call(), 1u64..25, 1u64..25, prop::bool::weighted(0.1)), 1..40)
}

/// Operations that happen one after the other at 100, 110, 120 and so on, and take from some time
/// before until some time after. Each writes another value, and the last one reads after all others
/// were answered. Before one of them, a read is put in that is answered so, after two values were
/// written one after the other.
fn overlapping(parts: &[Part], read_at: usize, answered: i64) -> Vec<Operation<Call, i64>> {
    let (mut state, mut history, mut moment) = (0, Vec::new(), 100);
    for (at, (call, before, after, is_lost)) in parts.iter().copied().enumerate() {
        if at == read_at {
            history.push(done(Write(FIRST), moment + 1, moment + 2, 0));
            history.push(done(Write(SECOND), moment + 3, moment + 4, 0));
            history.push(done(Read, moment + 5, moment + 6, answered));
            history.push(done(Write(state), moment + 7, moment + 8, 0));
        }
        moment += 10;
        let call = if let Write(_) = call { Write(1000 * (at as i64 + 1)) } else { call };
        let reply;
        (state, reply) = does(state, call);
        history.push(done(call, moment - before, moment + after, reply));
        if is_lost {
            history.last_mut().unwrap().answer = None;
        }
    }
    history.push(done(Read, 10_000, 10_001, state));
    history
}

const FIRST: i64 = 1_000_000;
const SECOND: i64 = 2_000_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_search_finds_what_all_orders_find(
        operations in prop::collection::vec((call(), 0u64..12, 1u64..8, prop::option::weighted(0.8, 0i64..5)), 0..6)
    ) {
        let operations: Vec<Operation<Call, i64>> = operations
            .into_iter()
            .map(|(call, called, takes, reply)| {
                let reply = if let Write(_) = call { reply.map(|_| 0) } else { reply };
                Operation { task: 0, call, called, answer: reply.map(|reply| (reply, called + takes)) }
            })
            .collect();
        prop_assert_eq!(is_linearizable(&operations), by_hand(0, &operations));
    }

    #[test]
    fn overlapping_operations_are_accepted_and_refused_with_a_stale_read(parts in parts(), at in any::<prop::sample::Index>()) {
        let at = at.index(parts.len());
        if let Err(refusal) = check::<Number>(&0, &overlapping(&parts, at, SECOND)) {
            prop_assert!(false, "{refusal}");
        }
        prop_assert!(!is_linearizable(&overlapping(&parts, at, FIRST)));
    }

    #[test]
    fn a_lost_update_and_a_doubled_increment_are_refused(adds in prop::collection::vec((1u64..40, 1u64..40), 2..40), at in any::<prop::sample::Index>(), off in prop_oneof![Just(-1i64), Just(1)]) {
        // From one of them on, the sums are as if it had not happened, or had happened twice.
        let at = at.index(adds.len() - 1);
        let history = |off: i64| -> Vec<Operation<Call, i64>> {
            let operation = |(number, (before, after)): (usize, &(u64, u64))| {
                let moment = 10 * (number as u64 + 10);
                let sum = number as i64 + 1 + if number > at { off } else { 0 };
                done(Add(1), moment - before, moment + after, sum)
            };
            adds.iter().enumerate().map(operation).collect()
        };
        prop_assert!(is_linearizable(&history(0)));
        prop_assert!(!is_linearizable(&history(off)));
    }
}
