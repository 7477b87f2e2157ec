//! Reads what a query asks for, call by call, in its order.

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;

use redis::Value;

use crate::db::Db;
use crate::error::Result;
use crate::query::explain::{PlanStep, PlanWay};
use crate::query::filter::Condition;
use crate::query::page::{self, Along, Ask, Counted, Member, OrderKey, Part, Place, Position, Request};
use crate::query::plan;
use crate::query::rows::{Rows, SEGMENT};
use crate::record::{self, Seen};
use crate::schema::ModelSchema;
use crate::scripts::DELETE;
use crate::value::SortKey;
use crate::write::Target;

/// Rows up to this number come with their fields in the same round trip; more are read by a pipeline, which costs the
/// server a third.
const IN_SCRIPT: usize = 100;

/// Rows that are asked for at most in one call or pipeline.
const STEP: usize = 1000;

/// What is delivered of each row.
pub(crate) struct Delivery<T> {
    /// Positions of the columns to read, with all of the condition among them; `None` if the ids are enough.
    pub(crate) columns: Option<Arc<[usize]>>,
    pub(crate) decode: Decode<T>,
}

/// Makes an item of a row; `None` if its record is gone.
type Decode<T> = Arc<dyn Fn(Place) -> Result<Option<T>> + Send + Sync>;

impl<T> Clone for Delivery<T> {
    fn clone(&self) -> Self {
        Self { columns: self.columns.clone(), decode: Arc::clone(&self.decode) }
    }
}

/// A query on its way.
pub(crate) struct Reader {
    db: Db,
    target: Target,
    request: Request,
    /// Where to go on; `None` if all was read.
    from: Option<Position>,
    /// Matching rows still to be left out.
    skip: u64,
    /// Where the first row that was found is.
    first: Option<Position>,
    ahead: Ahead,
    /// Rows found so far, where one that moves in the order could be met again.
    found: Rows,
    /// Whether `first` and `from` are wanted as they are, to begin there again: else they only say whether there is something.
    marks: bool,
    /// What it took, where somebody wants to know.
    spent: Option<Box<Spent>>,
}

/// How the rows that follow are found.
enum Ahead {
    /// By calls of the script, which may choose not to.
    Script { choose: bool },
    /// By bitmaps, in row order.
    Scan(Scan),
    /// By bitmaps, along a sorted set.
    Walk(Walk),
    /// They have been found and sorted; there may be more than these.
    Sorted(VecDeque<Entry>, bool),
}

/// A way in row order.
struct Scan {
    /// Rows of the segment that was begun.
    rows: VecDeque<u32>,
    /// Segments to come, of those that were read.
    bitmaps: VecDeque<(u32, Vec<u8>)>,
    /// The segment to be read next, the first one, or none.
    next: Option<Option<u32>>,
    /// Whether all rows match, or their records have to be looked at.
    exact: bool,
    /// The row to begin after.
    after: Option<u32>,
}

/// A way along a sorted set.
struct Walk {
    /// What matches the rest of the condition.
    matches: Matches,
    along: Along,
    /// Members that were read but not looked at.
    members: VecDeque<Member>,
    /// Rows walked past.
    walked: u64,
}

/// All rows that match a condition.
struct Matches {
    rows: Rows,
    count: u64,
    /// Whether all of them match, or their records have to be looked at.
    exact: bool,
    /// Records of the model.
    total: u64,
}

/// What a query took: see [`Plan`](crate::Plan).
#[derive(Debug, Default)]
pub(crate) struct Spent {
    pub(crate) steps: Vec<PlanStep>,
    pub(crate) expected: Option<u64>,
    pub(crate) looked: u64,
    pub(crate) round_trips: u64,
    pub(crate) commands: u64,
    pub(crate) microseconds: u64,
    pub(crate) bytes: u64,
}

impl Spent {
    /// A call of a script.
    fn call(&mut self, way: PlanWay, microseconds: u64, looked: u64, bytes: usize) {
        match self.steps.last_mut() {
            Some(step) if step.way == way => step.calls += 1,
            _ => self.steps.push(PlanStep { way, calls: 1 }),
        }
        self.looked += looked;
        self.round_trips += 1;
        self.commands += 1;
        self.microseconds += microseconds;
        self.bytes += bytes as u64;
    }

    /// A pipeline of plain commands.
    fn pipeline(&mut self, commands: usize, bytes: usize) {
        self.round_trips += 1;
        self.commands += commands as u64;
        self.bytes += bytes as u64;
    }
}

/// Bytes of the texts in a reply.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(size).sum(),
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    }
}

impl Reader {
    pub(crate) fn new(db: &Db, target: Target, request: Request, from: Position, skip: u64) -> Result<Self> {
        page::check(&target, &request)?;
        Ok(Self {
            db: db.clone(),
            target,
            request,
            from: Some(from),
            skip,
            first: None,
            ahead: Ahead::Script { choose: true },
            found: Rows::default(),
            marks: false,
            spent: None,
        })
    }

    /// Keeps book of where the first and the last row are.
    pub(crate) fn mark(&mut self) {
        self.marks = true;
    }

    /// Counts what it takes from now on.
    pub(crate) fn explain(&mut self) {
        self.db = self.db.timed();
        self.spent = Some(Box::default());
    }

    pub(crate) fn spent(self) -> Spent {
        *self.spent.unwrap_or_default()
    }

    /// Where to go on; `None` if nothing follows.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.from.as_ref()
    }

    /// Where the first row is that was found.
    pub(crate) fn first(&self) -> Option<&Position> {
        self.first.as_ref()
    }

    /// Finds up to `rows` of the rows that follow, fewer or none where a call ended before; `left` is how many will be wanted in all, and the
    /// columns to read are those of the order and more. One round trip for up to [`IN_SCRIPT`] rows, as a rule; else three or four: bitmaps,
    /// members of the order, ids, records.
    pub(crate) async fn next(&mut self, rows: usize, left: u64, columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let Some(from) = self.from.clone() else { return Ok(Vec::new()) };
        if let Ahead::Script { .. } = self.ahead {
            if self.request.order.len() > 1 {
                let matches = self.matches(&self.request.condition.clone(), None).await?;
                self.sort(&matches.rows, matches.exact, &from, left).await?;
            } else if self.request.order.is_empty() && rows > IN_SCRIPT && columns.is_some() {
                self.ahead = Ahead::Scan(Scan::after(&from, &self.request));
            }
        }
        let mut ahead = mem::replace(&mut self.ahead, Ahead::Script { choose: false });
        let places = match &mut ahead {
            Ahead::Script { choose } => return self.call(&from, rows, left, columns, *choose).await,
            Ahead::Scan(scan) => self.scan(scan, rows, columns).await,
            Ahead::Walk(walk) => {
                if walk.is_too_long() {
                    let exact = walk.matches.exact && walk.along.range == Condition::All;
                    self.sort(&walk.matches.rows, exact, &walk.along.last, left).await?;
                    return Ok(Vec::new());
                }
                self.walk(walk, rows, left, columns).await
            }
            Ahead::Sorted(entries, more) => {
                let rows = self.take(entries, *more, rows);
                self.look_up(&rows, columns).await
            }
        };
        // The null ones at the end of an order are found by the script. Where those that were sorted are all used, and some of them
        // matched no more, it begins again after them.
        let nulls = self.from.as_ref().is_some_and(|from| from.code == b"n" && matches!(ahead, Ahead::Walk(_)));
        match &ahead {
            Ahead::Sorted(entries, _) if entries.is_empty() => self.ahead = Ahead::Script { choose: true },
            _ if nulls => {}
            _ => self.ahead = ahead,
        }
        places
    }

    /// Calls the script.
    async fn call(
        &mut self,
        from: &Position,
        rows: usize,
        left: u64,
        columns: Option<&[usize]>,
        choose: bool,
    ) -> Result<Vec<Place>> {
        let in_script = columns.filter(|_| rows <= IN_SCRIPT);
        let ask = Ask { from, rows, skip: self.skip, left, columns: in_script, choose };
        let Part { mut places, next, skip, first, way, microseconds, looked, expected, bitmaps } =
            page::part(&self.db, &self.target, &self.request, ask).await?;
        if let Some(spent) = &mut self.spent {
            let mut bytes = places.iter().map(|place| place.id.len() + place.fields.as_ref().map_or(0, size)).sum();
            bytes += bitmaps.as_ref().map_or(0, page::Bitmaps::size);
            spent.expected = spent.expected.or(expected);
            spent.call(if bitmaps.is_some() { PlanWay::Bitmaps } else { way }, microseconds, looked, bytes);
        }
        let left = left.saturating_sub(places.len() as u64);
        let met = self.skip.saturating_sub(skip) + places.len() as u64;
        (self.from, self.skip) = (next, skip);
        if self.first.is_none() && !places.is_empty() {
            self.first = Some(first);
        }
        if !self.request.order.is_empty() {
            places.retain(|place| self.found.insert(place.row));
        }
        self.ahead = Ahead::Script { choose: choose && way == PlanWay::Gather };
        // Where it is at least half done, two more calls cost less than to begin another way.
        let too_long = way == PlanWay::Walk && places.len() < rows && self.skip.saturating_add(left) > 2 * met;
        if let (Some(next), [key]) = (self.from.clone(), &self.request.order[..])
            && next.code == b"k"
            && (way == PlanWay::Estimate || too_long)
        {
            let key = *key;
            self.plan(key, next, left, bitmaps).await?;
        }
        match columns {
            Some(columns) if in_script.is_none() => self.read(places, columns).await,
            _ => Ok(places),
        }
    }

    /// Decides how an order is gone on with where the script found that it takes long.
    async fn plan(&mut self, key: OrderKey, from: Position, left: u64, begun: Option<page::Bitmaps>) -> Result<()> {
        let (range, others) = plan::split_range(&self.request.condition, key.column);
        if others == Condition::All {
            return Ok(());
        }
        let wanted = self.skip.saturating_add(left);
        if self.target.schema.columns()[key.column].has_sorted_set() {
            let matches = self.matches(&others, begun).await?;
            if plan::walking_is_cheaper(matches.total, matches.count, wanted) {
                let along = Along::new(key, range, self.marks, from);
                self.ahead = Ahead::Walk(Walk { matches, along, members: VecDeque::new(), walked: 0 });
                return Ok(());
            }
            let exact = matches.exact && range == Condition::All;
            return self.sort(&matches.rows, exact, &from, left).await;
        }
        let matches = self.matches(&self.request.condition.clone(), None).await?;
        self.sort(&matches.rows, matches.exact, &from, left).await
    }

    /// Reads all rows that match a condition, as bitmaps, of which the first may be here.
    async fn matches(&mut self, condition: &Condition, mut begun: Option<page::Bitmaps>) -> Result<Matches> {
        let mut matches = Matches { rows: Rows::default(), count: 0, exact: true, total: 0 };
        let mut next = Some(None);
        while let Some(from) = next {
            let part = match begun.take() {
                Some(part) => part,
                None => self.bitmaps(condition, from, false).await?,
            };
            next = part.next.map(Some);
            matches.exact &= part.exact;
            matches.total = part.total;
            for (segment, bitmap) in part.bitmaps {
                matches.rows.set_segment(segment, bitmap);
            }
        }
        matches.count = matches.rows.len();
        Ok(matches)
    }

    async fn bitmaps(&mut self, condition: &Condition, from: Option<u32>, backwards: bool) -> Result<page::Bitmaps> {
        let part = page::bitmaps(&self.db, &self.target, condition, from, backwards).await?;
        if let Some(spent) = &mut self.spent {
            spent.call(PlanWay::Bitmaps, part.microseconds, 0, part.size());
        }
        Ok(part)
    }

    /// Goes on in row order.
    async fn scan(&mut self, scan: &mut Scan, rows: usize, columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let backwards = self.request.backwards;
        let mut taken = Vec::new();
        while taken.len() < rows {
            if scan.exact && self.skip > 0 {
                let left_out = scan.rows.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                scan.rows.drain(..left_out);
                self.skip -= left_out as u64;
            }
            let some = scan.rows.len().min(rows - taken.len());
            taken.extend(scan.rows.drain(..some));
            if !scan.rows.is_empty() {
                continue;
            }
            if let Some((segment, bitmap)) = scan.bitmaps.pop_front() {
                let mut set = Rows::default();
                set.set_segment(segment, bitmap);
                if backwards {
                    scan.rows = set.iter().rev().filter(|&row| scan.after.is_none_or(|after| row < after)).collect();
                } else {
                    scan.rows = set.iter().filter(|&row| scan.after.is_none_or(|after| row > after)).collect();
                }
            } else if let Some(from) = scan.next {
                let part = self.bitmaps(&self.request.condition.clone(), from, backwards).await?;
                scan.next = part.next.map(Some);
                scan.exact &= part.exact;
                scan.bitmaps = part.bitmaps.into();
            } else {
                break;
            }
        }
        let position =
            |row: &u32| Position { code: b"r".to_vec(), first: row.to_string().into_bytes(), second: Vec::new() };
        let ended = scan.rows.is_empty() && scan.bitmaps.is_empty() && scan.next.is_none();
        self.from = taken.last().map(position).filter(|_| !ended);
        let places = self.look_up(&taken, columns).await?;
        let places = if scan.exact { places } else { self.leave_out(places) };
        if self.first.is_none() {
            self.first = places.first().map(|place| position(&place.row));
        }
        Ok(places)
    }

    /// Goes on along a sorted set.
    async fn walk(&mut self, walk: &mut Walk, rows: usize, left: u64, columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let Some(&key) = self.request.order.first() else { return Ok(Vec::new()) };
        let mut taken = Vec::new();
        while taken.len() < rows {
            let Some((member, score)) = walk.members.pop_front() else {
                if !walk.along.more || walk.is_too_long() {
                    break;
                }
                // As many as are likely to have those that are wanted among them.
                let wanted = (left.min(rows as u64) + self.skip) as f64;
                let count = (1.5 * wanted * walk.matches.total as f64 / walk.matches.count.max(1) as f64) as usize;
                let count = count.clamp(200, STEP);
                let (members, script) = walk.along.read(&self.db, &self.target, count).await?;
                if let Some(spent) = &mut self.spent {
                    let bytes = members.iter().map(|(member, score)| member.len() + score.len()).sum();
                    match script {
                        Some(microseconds) => spent.call(PlanWay::Order, microseconds, members.len() as u64, bytes),
                        None => spent.pipeline(5, bytes),
                    }
                }
                walk.walked += members.len() as u64;
                walk.members = members.into();
                continue;
            };
            let row = row_of(&member);
            if !walk.matches.rows.has(row) || self.found.has(row) {
                continue;
            }
            if walk.matches.exact && self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.found.insert(row);
            taken.push((row, score, member));
        }
        let numbers: Vec<u32> = taken.iter().map(|(row, ..)| *row).collect();
        let mut places = self.look_up(&numbers, columns).await?;
        if !walk.matches.exact {
            places = self.leave_out(places);
        }
        let position = |(_, score, member): &(u32, Vec<u8>, Vec<u8>)| Position {
            code: b"k".to_vec(),
            first: score.clone(),
            second: member.clone(),
        };
        if let (None, Some(place)) = (&self.first, places.first()) {
            self.first = taken.iter().find(|(row, ..)| *row == place.row).map(position);
        }
        if walk.members.is_empty() && !walk.along.more {
            let column = &self.target.schema.columns()[key.column];
            let nulls = column.is_nullable() && !key.nulls_first && walk.along.range == Condition::All;
            self.from = nulls.then(|| Position { code: b"n".to_vec(), ..Position::default() });
        } else if let Some(last) = taken.last() {
            self.from = Some(position(last));
        }
        Ok(places)
    }

    /// Leaves out places that `skip` wants left out.
    fn leave_out(&mut self, mut places: Vec<Place>) -> Vec<Place> {
        let left_out = places.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.skip -= left_out as u64;
        places.drain(..left_out);
        places
    }

    /// The columns of the condition and the order.
    fn columns(&self) -> Vec<usize> {
        let mut columns = BTreeSet::new();
        self.request.columns(&mut columns);
        // A key that is not a field can't be a part of a filter or an order.
        columns.into_iter().filter(|at| self.target.schema.stored.contains(at)).collect()
    }

    /// Finds the records of rows and reads the columns, and drops those that match no more. Two round trips.
    async fn look_up(&mut self, rows: &[u32], columns: Option<&[usize]>) -> Result<Vec<Place>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let places = page::locate(&self.db, &self.target, rows).await?;
        if let Some(spent) = &mut self.spent {
            spent.pipeline(rows.len(), places.iter().map(|place| place.id.len()).sum());
        }
        match columns {
            Some(columns) => self.read(places, columns).await,
            None => self.read(places, &self.columns()).await,
        }
    }

    /// The number of records that match. A round trip for each millisecond of the server's time; with a range of a sorted set that is wide, for each
    /// thousand rows in it.
    pub(crate) async fn count(self) -> Result<u64> {
        let column = match page::count(&self.db, &self.target, &self.request).await? {
            Counted::All(count) => return Ok(count),
            Counted::Along(column) => column,
        };
        Ok(self.along(column).await?.len())
    }

    /// The rows that match, found along the condition's range of this column.
    pub(crate) async fn along(mut self, column: usize) -> Result<Rows> {
        let (range, others) = plan::split_range(&self.request.condition, column);
        let matches = self.matches(&others, None).await?;
        let key = OrderKey { column, descending: false, nulls_first: false };
        let mut along = Along::new(key, range, false, Position::default());
        let mut found = Rows::default();
        while along.more {
            let (members, _) = along.read(&self.db, &self.target, STEP).await?;
            let rows = members.iter().map(|(member, _)| row_of(member));
            // A row that moves along the range meanwhile counts once.
            let mut rows: Vec<u32> = rows.filter(|&row| matches.rows.has(row) && !found.has(row)).collect();
            if !matches.exact {
                rows = self.look_up(&rows, None).await?.into_iter().map(|place| place.row).collect();
            }
            for row in rows {
                found.insert(row);
            }
        }
        Ok(found)
    }

    /// The items that follow: see [`next`](Self::next).
    pub(crate) async fn items<T>(&mut self, rows: usize, left: u64, delivery: &Delivery<T>) -> Result<Vec<Result<T>>> {
        let places = self.next(rows, left, delivery.columns.as_deref()).await?;
        Ok(places.into_iter().filter_map(|place| (delivery.decode)(place).transpose()).collect())
    }

    /// Leaves the order away where it does not matter, as only whether there is a row is asked; after a cursor it does.
    pub(crate) fn forget_order(&mut self, after_cursor: bool) {
        if !after_cursor {
            self.request.order.clear();
        }
    }

    /// Deletes up to `rows` of the rows that follow, at most [`IN_SCRIPT`], and says how many. Two round trips, and two more if somebody changes one
    /// of them meanwhile: it is deleted only if it still matches.
    pub(crate) async fn delete(&mut self, rows: usize, left: u64) -> Result<u64> {
        // A key that is not a field never changes.
        let (schema, columns) = (self.target.schema, self.columns());
        let mut todo = self.next(rows.min(IN_SCRIPT), left, Some(&columns)).await?;
        let mut deleted = 0;
        while !todo.is_empty() {
            // One without fields is gone.
            let seen = |place: &Place| seen(schema, &columns, place.fields.as_ref()?);
            let calls = todo.iter().filter_map(|place| {
                Some(record::delete_call(&self.target, place.key.clone(), &[], None, &seen(place)?))
            });
            let calls: Vec<_> = calls.collect();
            todo.retain(|place| seen(place).is_some());
            let replies = self.target.run_many(&self.db, &DELETE, calls).await?;
            let mut changed = Vec::new();
            for (place, reply) in todo.into_iter().zip(replies) {
                match reply?.first() {
                    Some(Value::Int(1)) => deleted += 1,
                    Some(Value::Int(2)) => changed.push(place),
                    _ => {}
                }
            }
            todo = self.read(changed, &columns).await?;
        }
        Ok(deleted)
    }

    /// Reads the columns of rows that were found before, and drops those that match no more.
    async fn read(&mut self, mut places: Vec<Place>, columns: &[usize]) -> Result<Vec<Place>> {
        if places.is_empty() {
            return Ok(places);
        }
        let schema = self.target.schema;
        let mut pipeline = redis::Pipeline::with_capacity(places.len());
        for place in &places {
            pipeline.add_command(record::read_command(schema, &place.key, columns));
        }
        let replies = self.db.send_all(&pipeline).await?;
        if let Some(spent) = &mut self.spent {
            spent.pipeline(replies.len(), replies.iter().flatten().map(size).sum());
        }
        for (place, reply) in places.iter_mut().zip(replies) {
            // The record may have changed, or given its row to another one, since it was found.
            let fields = reply.map_err(|error| self.target.wrong_type(error))?;
            place.fields = Some(fields).filter(|fields| self.still_matches(columns, place.row, fields));
        }
        places.retain(|place| place.fields.is_some());
        Ok(places)
    }

    /// Whether a record still has the row and matches, by what was read of it.
    fn still_matches(&self, columns: &[usize], row: u32, fields: &Value) -> bool {
        let Value::Array(fields) = fields else { return false };
        let [Value::BulkString(found), fields @ ..] = fields.as_slice() else { return false };
        *found == row.to_string().into_bytes() && self.request.condition.matches(self.target.schema, columns, fields)
    }

    /// Reads what these rows are ordered by, and holds those of them that match, follow the position and are wanted, sorted.
    async fn sort(&mut self, rows: &Rows, exact: bool, from: &Position, left: u64) -> Result<()> {
        let order = self.request.order.clone();
        let (columns, edge) = (self.columns(), Entry::at(&order, from));
        let wanted = usize::try_from(self.skip.saturating_add(left)).unwrap_or(usize::MAX);
        let (mut entries, mut more) = (Vec::new(), false);
        let mut rows = rows.iter().filter(|&row| !self.found.has(row)).collect::<VecDeque<u32>>();
        if let Some(spent) = &mut self.spent {
            spent.steps.push(PlanStep { way: PlanWay::Sort, calls: 0 });
            spent.looked += rows.len() as u64;
        }
        while !rows.is_empty() {
            let some: Vec<u32> = rows.drain(..rows.len().min(STEP)).collect();
            for entry in self.entries(&some, &columns, exact).await? {
                if edge.as_ref().is_none_or(|edge| entry.compare(edge, &order).is_gt()) {
                    entries.push(entry);
                }
            }
            // Now and then, those that are not wanted go.
            if entries.len() / 2 > wanted {
                entries.select_nth_unstable_by(wanted, |one, two| one.compare(two, &order));
                entries.truncate(wanted);
                more = true;
            }
        }
        entries.sort_unstable_by(|one, two| one.compare(two, &order));
        more |= entries.len() > wanted;
        entries.truncate(wanted);
        let left_out = usize::try_from(self.skip).unwrap_or(usize::MAX).min(entries.len());
        self.skip -= left_out as u64;
        entries.drain(..left_out);
        self.ahead = Ahead::Sorted(entries.into(), more);
        Ok(())
    }

    /// What the rows are ordered by, for those that match.
    async fn entries(&mut self, rows: &[u32], columns: &[usize], exact: bool) -> Result<Vec<Entry>> {
        let (schema, order) = (self.target.schema, self.request.order.clone());
        let (mut entries, mut others) = (Vec::with_capacity(rows.len()), Vec::new());
        match order[..] {
            // What has a place of its own in the sorted set says so without its record.
            [key] if exact && schema.columns()[key.column].has_sorted_set() => {
                let scores = page::scores(&self.db, &self.target, key.column, rows).await?;
                if let Some(spent) = &mut self.spent {
                    spent.pipeline(1, scores.iter().flatten().map(Vec::len).sum());
                }
                for (&row, score) in rows.iter().zip(scores) {
                    match score {
                        Some(score) => {
                            let key = SortKey { score, tail: Vec::new() };
                            entries.push(Entry { keys: vec![Some(key)], row: i64::from(row) });
                        }
                        None => others.push(row),
                    }
                }
            }
            _ => others.extend(rows),
        }
        let places = self.look_up(&others, Some(columns)).await?;
        entries.extend(places.iter().filter_map(|place| Entry::of(schema, &order, columns, place)));
        Ok(entries)
    }

    /// Takes some of those that were sorted.
    fn take(&mut self, entries: &mut VecDeque<Entry>, more: bool, rows: usize) -> Vec<u32> {
        let order = &self.request.order;
        let taken: Vec<Entry> = entries.drain(..rows.min(entries.len())).collect();
        if self.first.is_none() {
            self.first = taken.first().map(|entry| entry.position(order));
        }
        self.from = taken.last().filter(|_| more || !entries.is_empty()).map(|last| last.position(order));
        taken.into_iter().map(|entry| entry.row as u32).collect()
    }
}

impl Scan {
    fn after(from: &Position, request: &Request) -> Self {
        let after = String::from_utf8_lossy(&from.first).parse::<u32>().ok();
        let first = match after {
            Some(row) if request.backwards => Some(row.saturating_sub(1) / SEGMENT),
            Some(row) => Some(row.saturating_add(1) / SEGMENT),
            None => None,
        };
        Self { rows: VecDeque::new(), bitmaps: VecDeque::new(), next: Some(first), exact: true, after }
    }
}

impl Walk {
    /// Whether all that match had better be sorted, before more of the order is read.
    fn is_too_long(&self) -> bool {
        self.along.more && self.members.is_empty() && plan::walking_is_too_long(self.walked, self.matches.count)
    }
}

/// The row of a sorted set's member, its last four bytes.
fn row_of(member: &[u8]) -> u32 {
    member.split_last_chunk::<4>().map_or(0, |(_, row)| u32::from_be_bytes(*row))
}

/// The row and the columns of a record as they were read; `None` if it is gone.
fn seen(schema: &ModelSchema, columns: &[usize], fields: &Value) -> Option<Vec<Seen>> {
    let Value::Array(fields) = fields else { return None };
    let (Value::BulkString(row), fields) = fields.split_first()? else { return None };
    let mut seen = vec![("#", Some(row.clone()))];
    seen.extend(columns.iter().zip(fields).map(|(&at, value)| {
        let value = if let Value::BulkString(value) = value { Some(value.clone()) } else { None };
        (schema.columns()[at].name(), value)
    }));
    Some(seen)
}

/// A row with what it is ordered by; `None` for null.
#[derive(Debug)]
struct Entry {
    keys: Vec<Option<SortKey>>,
    /// Of a place between rows, one that no row has.
    row: i64,
}

impl Entry {
    /// Of a row whose columns were read; `None` if its record is gone.
    fn of(schema: &ModelSchema, order: &[OrderKey], columns: &[usize], place: &Place) -> Option<Self> {
        let Value::Array(fields) = place.fields.as_ref()? else { return None };
        let (_, fields) = fields.split_first()?;
        let key = |key: &OrderKey| {
            let column = &schema.columns()[key.column];
            let at = columns.iter().position(|&at| at == key.column)?;
            let Value::BulkString(stored) = fields.get(at)? else { return None };
            column.sort_key(stored)
        };
        Some(Self { keys: order.iter().map(key).collect(), row: i64::from(place.row) })
    }

    /// Beyond which entry the rows come that follow the position; `None` if all do.
    fn at(order: &[OrderKey], position: &Position) -> Option<Self> {
        let row = |bytes: &[u8]| String::from_utf8_lossy(bytes).parse::<i64>().ok();
        let only = order.first()?;
        let (keys, row) = match &position.code[..] {
            b"m" => (read_keys(&position.first, order.len())?, row(&position.second)?),
            b"n" if position.first.is_empty() => (vec![None], if only.descending { i64::MAX } else { -1 }),
            b"n" => (vec![None], row(&position.first)?),
            b"k" if position.first.is_empty() && only.nulls_first => {
                (vec![None], if only.descending { -1 } else { i64::MAX })
            }
            b"k" => {
                let (tail, row) = position.second.split_last_chunk::<4>()?;
                let key = SortKey { score: position.first.clone(), tail: tail.to_vec() };
                (vec![Some(key)], i64::from(u32::from_be_bytes(*row)))
            }
            _ => return None,
        };
        Some(Self { keys, row })
    }

    /// What [`at`](Self::at) reads.
    fn position(&self, order: &[OrderKey]) -> Position {
        let row = self.row.to_string().into_bytes();
        if order.len() > 1 {
            return Position { code: b"m".to_vec(), first: write_keys(&self.keys), second: row };
        }
        match self.keys.first() {
            Some(Some(SortKey { score, tail })) => Position {
                code: b"k".to_vec(),
                first: score.clone(),
                second: [tail, &(self.row as u32).to_be_bytes()[..]].concat(),
            },
            _ => Position { code: b"n".to_vec(), first: row, second: Vec::new() },
        }
    }

    /// Ties are in row order, turned round with the last key.
    fn compare(&self, other: &Self, order: &[OrderKey]) -> Ordering {
        let turned = |ordering: Ordering, descending: bool| if descending { ordering.reverse() } else { ordering };
        let mut keys = order.iter().zip(self.keys.iter().zip(&other.keys));
        let differs = keys.find_map(|(key, pair)| {
            let ordering = match pair {
                (Some(one), Some(two)) => turned(one.compare(two), key.descending),
                (one, two) => turned(one.is_none().cmp(&two.is_none()), key.nulls_first),
            };
            Some(ordering).filter(|ordering| ordering.is_ne())
        });
        let descending = order.last().is_some_and(|key| key.descending);
        differs.unwrap_or_else(|| turned(self.row.cmp(&other.row), descending))
    }
}

/// Keys as bytes: 0 for null, or 1 and score and tail, each after its length.
fn write_keys(keys: &[Option<SortKey>]) -> Vec<u8> {
    let mut out = Vec::new();
    for key in keys {
        let Some(SortKey { score, tail }) = key else {
            out.push(0);
            continue;
        };
        out.push(1);
        for part in [score, tail] {
            out.extend_from_slice(&(part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

/// What [`write_keys`] wrote; `None` for anything else.
pub(crate) fn read_keys(mut bytes: &[u8], count: usize) -> Option<Vec<Option<SortKey>>> {
    let mut take = |length: usize| {
        let (taken, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(taken)
    };
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        if take(1)? == [0] {
            keys.push(None);
            continue;
        }
        let mut part = || {
            let length = u16::from_be_bytes(take(2)?.try_into().ok()?);
            take(usize::from(length)).map(<[u8]>::to_vec)
        };
        keys.push(Some(SortKey { score: part()?, tail: part()? }));
    }
    bytes.is_empty().then_some(keys)
}
