//! Which entries of a file are of one owner, in 16 bytes an entry: the names stay in the file.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use otp_core::record::id::MOST_DEVICES;
use otp_core::value::secret::Secret;

use crate::source::{Fault, Whose};

/// An entry.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Two owners with one hash are not to be expected: it has 64 bits, and another key in each run. Such entries would be
    /// refused when they are read again.
    owner: u64,
    line: u32,
    place: u32,
}

/// The entries of a file that have no fault.
#[derive(Default)]
pub(crate) struct Index {
    key: RandomState,
    /// The first entry of each owner, in the order of the file.
    first: Vec<Row>,
    /// The others, ordered by owners.
    more: Vec<Row>,
    /// Owners of whom nothing is taken.
    left_out: HashSet<u64>,
    /// Whether there are entries without a user.
    pub(crate) has_stock: bool,
}

impl Row {
    pub(crate) fn line(&self) -> usize {
        usize::try_from(self.line).unwrap_or(usize::MAX)
    }

    /// Where it stands; what the number says is up to the format.
    pub(crate) fn place(&self) -> usize {
        usize::try_from(self.place).unwrap_or(usize::MAX)
    }
}

impl Index {
    pub(crate) fn note(&mut self, owner: &Whose, line: usize, place: usize) -> Result<(), &'static str> {
        let (Ok(line), Ok(place)) = (u32::try_from(line), u32::try_from(place)) else {
            return Err("it stands behind the first 4 GiB of the file");
        };
        self.has_stock |= matches!(owner, Whose::Serial(_));
        self.first.push(Row { owner: self.key.hash_one(owner), line, place });
        Ok(())
    }

    /// Takes nothing of this owner.
    pub(crate) fn leave_out(&mut self, owner: &Whose) {
        self.left_out.insert(self.key.hash_one(owner));
    }

    /// Takes out single entries.
    pub(crate) fn remove(&mut self, places: &HashSet<usize>) {
        self.first.retain(|row| !places.contains(&row.place()));
    }

    /// Puts the entries of each owner together, when all are noted. An owner of several is left out if `faults_of` finds faults
    /// between them.
    pub(crate) fn put_together(&mut self, mut faults_of: impl FnMut(&[Row]) -> Vec<Fault>) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.first.sort_unstable_by_key(|row| (row.owner, row.place));
        for rows in self.first.chunk_by(|one, other| one.owner == other.owner) {
            let (Some(first), Some(more @ [_, ..])) = (rows.first(), rows.get(1..)) else { continue };
            let together = faults_of(rows);
            if !together.is_empty() {
                self.left_out.insert(first.owner);
            }
            faults.extend(together);
            self.more.extend(more);
        }
        self.first.dedup_by_key(|row| row.owner);
        self.first.retain(|row| !self.left_out.contains(&row.owner));
        self.first.sort_unstable_by_key(|row| row.place);
        faults
    }

    /// The number of owners.
    pub(crate) fn count(&self) -> usize {
        self.first.len()
    }

    /// The entries of one owner. Owners are in the order in which they first appear.
    pub(crate) fn rows(&self, place: usize) -> impl Iterator<Item = &Row> {
        let owner = self.first.get(place).map(|row| row.owner);
        let before = self.more.partition_point(|row| Some(row.owner) < owner);
        let more = self.more.get(before..).unwrap_or_default().iter();
        self.first.get(place).into_iter().chain(more.take_while(move |row| Some(row.owner) == owner))
    }

    /// Reads the entries of one owner again. In a file that has changed meanwhile, an entry of another owner is a fault.
    pub(crate) fn again<D>(
        &self,
        place: usize,
        read: impl Fn(&Row) -> Result<(Whose, D), String>,
    ) -> Result<(Whose, Vec<D>), Fault> {
        let (mut whose, mut all) = (None, Vec::new());
        for row in self.rows(place) {
            let fault = |what| Fault { line: row.line(), what };
            let (owner, one) = read(row).map_err(fault)?;
            if self.key.hash_one(&owner) != row.owner || whose.as_ref().is_some_and(|whose| *whose != owner) {
                return Err(fault("it is of another user than before".to_owned()));
            }
            whose = Some(owner);
            all.push(one);
        }
        let whose = whose.ok_or_else(|| Fault { line: 0, what: "there is no such entry".to_owned() })?;
        Ok((whose, all))
    }
}

/// Faults between the devices of one owner.
pub(crate) fn faults_together(rows: &[Row], secret: impl Fn(&Row) -> Result<Secret, String>) -> Vec<Fault> {
    let (mut faults, mut seen): (Vec<Fault>, Vec<(usize, Secret)>) = (Vec::new(), Vec::new());
    for row in rows {
        let fault = |what| Fault { line: row.line(), what };
        match secret(row) {
            Err(what) => faults.push(fault(what)),
            Ok(secret) => {
                if let Some((first, _)) = seen.iter().find(|(_, other)| other.expose() == secret.expose()) {
                    faults.push(fault(format!("the seed is the one of line {first}, of the same user")));
                } else if seen.len() == MOST_DEVICES {
                    faults.push(fault(format!("the user has more than {MOST_DEVICES} devices")));
                    break;
                } else {
                    seen.push((row.line(), secret));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Whose {
        Whose::User(name.to_owned())
    }

    fn index(names: &[&str]) -> Index {
        let mut index = Index::default();
        for ((line, place), name) in (1..).zip(0..).zip(names) {
            index.note(&user(name), line, place).unwrap();
        }
        index
    }

    fn places(index: &Index) -> Vec<Vec<usize>> {
        (0..index.count()).map(|place| index.rows(place).map(Row::place).collect()).collect()
    }

    #[test]
    fn owners_are_in_the_order_of_the_file_with_all_that_is_theirs() {
        let mut all = index(&["c", "a", "b", "a", "c", "d", "a"]);
        all.leave_out(&user("d"));
        assert!(all.put_together(|_| Vec::new()).is_empty());
        assert_eq!(places(&all), [vec![0, 4], vec![1, 3, 6], vec![2]]);
        assert_eq!((all.rows(3).count(), all.again(3, |_| Ok((user("d"), ()))).is_err()), (0, true));
        let mut some = index(&["c", "a", "b", "a", "c"]);
        some.remove(&HashSet::from([1, 4]));
        let fault = |rows: &[Row]| vec![Fault { line: rows[0].line(), what: String::new() }];
        assert!(some.put_together(fault).is_empty());
        assert_eq!(places(&some), [vec![0], vec![2], vec![3]]);
        let mut faulty = index(&["c", "a", "b", "a", "c"]);
        let mut lines: Vec<_> = faulty.put_together(fault).iter().map(|fault| fault.line).collect();
        lines.sort_unstable();
        assert_eq!((lines, places(&faulty)), (vec![1, 2], vec![vec![2]]));
    }

    #[test]
    fn an_entry_that_is_of_another_user_now_is_nobodys() {
        let mut all = index(&["a", "b", "a"]);
        all.put_together(|_| Vec::new());
        let now = |names: [&'static str; 3]| {
            let read = move |row: &Row| Ok((user(names[row.place()]), row.place()));
            move |all: &Index, place: usize| all.again(place, read).map_err(|fault| (fault.line, fault.what))
        };
        assert_eq!(now(["a", "b", "a"])(&all, 0), Ok((user("a"), vec![0, 2])));
        let other = |line| Err((line, "it is of another user than before".to_owned()));
        assert_eq!(now(["b", "b", "a"])(&all, 0), other(1));
        assert_eq!(now(["a", "b", "b"])(&all, 0), other(3));
        assert_eq!(now(["a", "a", "a"])(&all, 1), other(2));
        let gone = all.again(1, |_| Err::<(Whose, ()), _>("there is no seed".to_owned()));
        assert_eq!(gone.err().map(|fault| (fault.line, fault.what)), Some((2, "there is no seed".to_owned())));
    }
}
