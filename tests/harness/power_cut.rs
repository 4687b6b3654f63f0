//! A disk whose power is cut: what a program asked of it, read from strace, and every directory it may hold afterwards.
//!
//! The rules are those of a journalling file system, taken strictly. What was not flushed of a file is there or not, each
//! sector for itself. Changes of names happen in order, and the last ones may not have happened; flushing a file
//! (fsync, not fdatasync) or the directory makes those before it last.

use crate::{before_or_after::Files, conversation::unquote};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Unwritten sectors of which every combination is tried; of more, every prefix, every suffix and each one alone.
const MOST_COMBINED: usize = 8;

/// One thing that a program did to the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Event {
    Create(String),
    Write {
        name: String,
        offset: Option<usize>,
        bytes: Vec<u8>,
    },
    Truncate(String),
    FlushData(String),
    Flush(String),
    FlushNames,
    /// All files, and all names.
    FlushAll,
    Rename(String, String),
    Unlink(String),
    /// It wrote to its standard output.
    Say,
}

/// A moment at which the power may fail.
#[derive(Debug)]
pub struct Moment {
    /// What was asked last.
    pub after: String,
    /// Whether the program had said anything by then.
    pub spoke: bool,
    /// Whether it had said its last word.
    pub told: bool,
    /// Every directory that may be found.
    pub images: BTreeSet<Files>,
}

/// Every moment of a traced program at which the disk may hold something else than a moment before.
///
/// # Panics
/// When the trace says something that this does not know.
pub fn moments(trace: &str, directory: &Path, before: &Files) -> Vec<Moment> {
    let directory = directory.display().to_string();
    // Some programs write to it by a second number. A program that has not used it has said nothing.
    let stdout = trace.lines().find_map(|line| Some(line.split_once("(1<")?.1.split_once('>')?.0)).unwrap();
    // The count of changes is no part of a record.
    let lines = trace.lines().filter(|line| !line.contains("\".changes") && !line.contains("/.changes"));
    let events: Vec<(Event, &str)> = lines.filter_map(|line| Some((event(line, &directory, stdout)?, line))).collect();
    let words = || events.iter().enumerate().filter(|(_, (event, _))| *event == Event::Say).map(|(number, _)| number);
    let (first_word, last_word) = (words().next().unwrap(), words().next_back().unwrap());
    let mut disk = Disk::holding(before);
    let mut moments = vec![Moment { after: "nothing".into(), spoke: false, told: false, images: disk.images() }];
    for (number, (event, line)) in events.into_iter().enumerate() {
        disk.does(event);
        let after = line.chars().take(120).collect();
        let (spoke, told) = (number >= first_word, number >= last_word);
        moments.push(Moment { after, spoke, told, images: disk.images() });
    }
    moments
}

/// What a line of strace (`--decode-fds=path`) did to the directory, where it succeeded.
fn event(line: &str, directory: &str, stdout: &str) -> Option<Event> {
    let (call, rest) = line.split_once('(')?;
    let result: i64 = line.rsplit_once(" = ")?.1.split(['<', ' ']).next()?.parse().ok()?;
    if result < 0 {
        return None;
    }
    let first = rest.split_once('<').and_then(|(_, path)| path.split_once('>')).map_or("", |(path, _)| path);
    if call == "write" && first == stdout {
        return Some(Event::Say);
    }
    let own = first.strip_prefix(directory)?;
    let own = own.strip_prefix('/').unwrap_or(own).to_owned();
    let mut texts = rest.match_indices('"').step_by(2).filter_map(|(at, _)| Some(unquote(rest.get(at..)?)?.0));
    match call {
        "openat" => {
            let name = texts.next()?;
            rest.contains("O_CREAT").then_some(Event::Create(name))
        }
        // Texts and nothing else are written there, so that the first quote starts it and unquote finds its end.
        "write" => Some(Event::Write { name: own, offset: None, bytes: texts.next()?.into_bytes() }),
        "pwrite64" => {
            let offset = rest.rsplit_once(')')?.0.rsplit_once(", ")?.1.parse().ok();
            Some(Event::Write { name: own, offset, bytes: texts.next()?.into_bytes() })
        }
        "ftruncate" => Some(Event::Truncate(own)),
        "fdatasync" => Some(Event::FlushData(own)),
        "fsync" if own.is_empty() => Some(Event::FlushNames),
        "syncfs" if own.is_empty() => Some(Event::FlushAll),
        "fsync" => Some(Event::Flush(own)),
        "renameat" | "renameat2" => Some(Event::Rename(texts.next()?, texts.next()?)),
        "unlinkat" => Some(Event::Unlink(texts.next()?)),
        _ => None,
    }
}

#[derive(Default, Debug)]
struct Inode {
    flushed: Vec<u8>,
    now: Vec<u8>,
}

type Names = BTreeMap<String, usize>;

#[derive(Debug)]
struct Disk {
    inodes: Vec<Inode>,
    /// How names were, one entry for each change since they were made to last; the last one is how they are.
    names: Vec<Names>,
}

impl Disk {
    fn holding(files: &Files) -> Disk {
        let inodes = files.values().map(|content| Inode { flushed: content.clone(), now: content.clone() }).collect();
        let names = files.keys().cloned().zip(0..).collect();
        Disk { inodes, names: vec![names] }
    }

    fn names(&self) -> Names {
        self.names.last().unwrap().clone()
    }

    /// An open file keeps its inode when its name is gone; strace then calls it `NAME (deleted)`.
    fn inode(&mut self, name: &str) -> Option<&mut Inode> {
        let number = *self.names.last()?.get(name)?;
        self.inodes.get_mut(number)
    }

    fn does(&mut self, event: Event) {
        let mut names = self.names();
        match event {
            Event::Create(name) => {
                if names.contains_key(&name) {
                    return; // opened, with leave to make it
                }
                names.insert(name, self.inodes.len());
                self.inodes.push(Inode::default());
                self.names.push(names);
            }
            Event::Rename(from, to) => {
                let inode = names.remove(&from).unwrap();
                names.insert(to, inode);
                self.names.push(names);
            }
            Event::Unlink(name) => {
                names.remove(&name);
                self.names.push(names);
            }
            Event::Write { name, offset, bytes } => {
                let now = &mut self.inode(&name).unwrap().now;
                let offset = offset.unwrap_or(now.len()); // without an offset files are written from the start, once
                now.resize(now.len().max(offset + bytes.len()), 0);
                now[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            Event::Truncate(name) => self.inode(&name).unwrap().now.clear(),
            Event::FlushData(name) => self.flush(&name),
            Event::Flush(name) => {
                self.flush(&name);
                self.names = vec![names];
            }
            Event::FlushNames => self.names = vec![names],
            Event::FlushAll => {
                self.inodes.iter_mut().for_each(|inode| inode.flushed.clone_from(&inode.now));
                self.names = vec![names];
            }
            Event::Say => {}
        }
    }

    fn flush(&mut self, name: &str) {
        if let Some(inode) = self.inode(name) {
            inode.flushed.clone_from(&inode.now);
        }
    }

    fn images(&self) -> BTreeSet<Files> {
        self.names.iter().flat_map(|names| self.images_with(names)).collect()
    }

    fn images_with(&self, names: &Names) -> Vec<Files> {
        let inodes = || names.values().map(|number| &self.inodes[*number]);
        let unwritten: Vec<usize> = inodes().map(Inode::unwritten).collect();
        let mut images = Vec::new();
        for written in choices(unwritten.iter().sum()) {
            for trimmed in [false, true] {
                let mut written = written.iter().copied();
                let contents = inodes()
                    .zip(&unwritten)
                    .map(|(inode, count)| inode.with(&written.by_ref().take(*count).collect::<Vec<bool>>(), trimmed));
                images.push(names.keys().cloned().zip(contents).collect());
            }
        }
        images
    }
}

impl Inode {
    /// Sectors that differ from what was flushed.
    fn differing(&self) -> Vec<usize> {
        let count = self.now.len().max(self.flushed.len()).div_ceil(SECTOR);
        (0..count).filter(|sector| part(&self.now, *sector) != part(&self.flushed, *sector)).collect()
    }

    fn unwritten(&self) -> usize {
        self.differing().len()
    }

    /// With these of the differing sectors written. A file that grows has its new length at once, with zeros where
    /// nothing was written yet, or (`trimmed`) grows as far as something was.
    fn with(&self, written: &[bool], trimmed: bool) -> Vec<u8> {
        let length = self.now.len().max(self.flushed.len());
        let (mut content, mut end) = (self.flushed.clone(), self.flushed.len());
        content.resize(length, 0);
        for (sector, _) in self.differing().into_iter().zip(written).filter(|(_, written)| **written) {
            let new = part(&self.now, sector);
            content[sector * SECTOR..sector * SECTOR + new.len()].copy_from_slice(new);
            end = end.max(sector * SECTOR + new.len());
        }
        if trimmed {
            content.truncate(end);
        }
        content
    }
}

fn part(content: &[u8], sector: usize) -> &[u8] {
    let start = (sector * SECTOR).min(content.len());
    &content[start..(start + SECTOR).min(content.len())]
}

/// Which of `count` sectors were written.
fn choices(count: usize) -> Vec<Vec<bool>> {
    if count <= MOST_COMBINED {
        return (0..1_usize << count).map(|set| (0..count).map(|bit| set >> bit & 1 == 1).collect()).collect();
    }
    let of = |rule: &dyn Fn(usize) -> bool| (0..count).map(rule).collect();
    (0..=count)
        .flat_map(|cut| [of(&|sector| sector < cut), of(&|sector| sector >= cut), of(&|sector| sector == cut)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(trace: &str, before: &[(&str, &[u8])]) -> Vec<usize> {
        let before = before.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
        moments(trace, Path::new("/s"), &before).iter().map(|moment| moment.images.len()).collect()
    }

    #[test]
    fn each_sector_of_an_unflushed_write_is_there_or_not() {
        let new = "n".repeat(1024);
        let trace = format!(
            "pwrite64(4</s/a>, \"{new}\", 1024, 0) = 1024\nfdatasync(4</s/a>) = 0\nwrite(1<pipe:[1]>, \"x\", 1) = 1\n"
        );
        assert_eq!(images(&trace, &[("a", &[b'o'; 1024])]), [1, 4, 1, 1]);
    }

    #[test]
    fn names_change_in_order_and_last_when_a_file_is_flushed() {
        let trace = "openat(3</s>, \"b\", O_RDWR|O_CREAT|O_EXCL, 0600) = 4</s/b>\nwrite(4</s/b>, \"new\\n\", 4) = 4\n\
                     fsync(4</s/b>) = 0\nrenameat(3</s>, \"b\", 3</s>, \"a\") = 0\nunlinkat(3</s>, \"c\", 0) = -1 ENOENT (…)\n\
                     fsync(4</s/a>) = 0\nwrite(1<pipe:[1]>, \"x\", 1) = 1\n";
        // Nothing; made or not; also empty, or zeros, or whole; whole; renamed or not; renamed; said.
        assert_eq!(images(trace, &[("a", b"old")]), [1, 2, 4, 1, 2, 1, 1]);
    }

    #[test]
    fn one_call_flushes_all_files_and_names() {
        let trace = "openat(3</s>, \"b\", O_RDWR|O_CREAT|O_EXCL, 0600) = 4</s/b>\nwrite(4</s/b>, \"new\\n\", 4) = 4\n\
                     syncfs(5</s>) = 0\nwrite(1<pipe:[1]>, \"x\", 1) = 1\n";
        assert_eq!(images(trace, &[("a", b"old")]), [1, 2, 4, 1, 1]);
    }

    #[test]
    fn of_many_sectors_beginnings_ends_and_single_ones_are_tried() {
        assert_eq!(choices(3).len(), 8);
        let many: BTreeSet<_> = choices(20).into_iter().collect();
        assert_eq!(many.len(), 58, "20 beginnings, 20 ends, all, none, and 16 single ones that are neither");
    }
}
