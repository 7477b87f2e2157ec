//! Questions with known answers, asked of a side that may have several ways to answer them.

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// What a side answers, or why it can't.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a round goes on at least.
pub const ROUND: Duration = Duration::from_millis(300);
/// How long a trial of a form goes on at least.
const TRIAL: Duration = Duration::from_millis(200);

/// A side that answers questions.
pub trait Asked {
    /// A question.
    type Question: Debug;
    /// Its answer.
    type Answer;

    /// Who it is.
    fn name(&self) -> &'static str;

    /// The ways to answer a question.
    fn forms(&self, question: &Self::Question) -> Vec<&'static str>;

    /// Answers a question in one of the ways.
    fn answer(&self, question: &Self::Question, form: &str) -> impl Future<Output = Outcome<Self::Answer>>;

    /// Whether the answer found is the right one.
    fn is_right(question: &Self::Question, found: &Self::Answer, right: &Self::Answer) -> bool;

    /// The number of rows, or of things counted.
    fn size(answer: &Self::Answer) -> u64;

    /// Asks all questions of a kind until the time is over: how many were asked, and how many rows
    /// came. Only the sizes of answers are compared here.
    fn ask(
        &self,
        cases: &[(Self::Question, Self::Answer)],
        form: &str,
        time: Duration,
    ) -> impl Future<Output = (u64, u64)> {
        async move {
            let (begin, mut operations, mut rows) = (Instant::now(), 0, 0);
            while operations == 0 || begin.elapsed() < time {
                for (question, answer) in cases {
                    let found = match self.answer(question, form).await {
                        Ok(found) => Self::size(&found),
                        Err(error) => panic!("{}, {form}: {question:?}: {error}", self.name()),
                    };
                    assert_eq!(found, Self::size(answer), "{}, {form}: {question:?}", self.name());
                    operations += 1;
                    rows += found;
                }
            }
            (operations, rows)
        }
    }

    /// What is wrong with the answers to questions of a kind, if anything is.
    fn mistake(&self, cases: &[(Self::Question, Self::Answer)], form: &str) -> impl Future<Output = Option<String>> {
        async move {
            for (turn, (question, right)) in cases.iter().enumerate() {
                match self.answer(question, form).await {
                    Ok(found) if Self::is_right(question, &found, right) => {}
                    Ok(found) => {
                        let (found, right) = (Self::size(&found), Self::size(right));
                        return Some(format!("wrong: question {turn}, {found} for {right}"));
                    }
                    Err(error) => return Some(format!("fails: {error}")),
                }
            }
            None
        }
    }

    /// The fastest form whose answers are right, if any are, and what is wrong with others.
    fn best(
        &self,
        cases: &[(Self::Question, Self::Answer)],
    ) -> impl Future<Output = (Option<&'static str>, Vec<String>)> {
        async move {
            let (mut right, mut notes) = (Vec::new(), Vec::new());
            for form in self.forms(&cases[0].0) {
                match self.mistake(cases, form).await {
                    Some(mistake) => notes.push(format!("{form}: {mistake}")),
                    None => right.push((form, 0.0)),
                }
            }
            // Twice and the better of each, for a machine that does other things too; what is far
            // behind has no second chance.
            for turn in 0..2 {
                let best = right.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
                let alone = right.len() == 1;
                for (form, rate) in right.iter_mut().filter(|(_, rate)| !alone && (turn == 0 || *rate > best / 2.0)) {
                    let begin = Instant::now();
                    let (operations, _) = self.ask(cases, form, TRIAL).await;
                    *rate = rate.max(operations as f64 / begin.elapsed().as_secs_f64());
                }
            }
            right.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            notes.extend(right.iter().filter(|_| right.len() > 1).map(|(form, rate)| format!("{form}: {rate:.1}/s")));
            let best = right.first().map(|(form, _)| *form);
            if best.is_none() {
                eprintln!("{}: no right answer: {notes:?}", self.name());
            }
            // Another side may be unable to answer it; the library has a bug then.
            assert!(best.is_some() || self.name() != "ours", "the library answers wrongly");
            (best, notes)
        }
    }
}
