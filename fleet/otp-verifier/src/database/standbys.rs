//! Which primary may be written to, as far as it can say.
//!
//! Only a node whose confirmation the primary cannot do without may be promoted. A primary that waits for any one of two
//! standbys goes on with the second while the first is promoted: then both accept one code. So every standby that the primary
//! names must be one that it waits for.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::database::Facts;

/// Whether the primary must wait for a standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standbys {
    Needed,
    /// For trying it out: a commit may be lost.
    NotNeeded,
    /// What this rule is good for is seen without it.
    #[cfg(test)]
    Unchecked,
}

/// Why a writable server is not written to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unfit {
    #[error("its fsync is off, so a power cut undoes used codes")]
    Unsynced,
    #[error("its synchronous_standby_names is empty, so a commit is lost with it")]
    NoStandby,
    #[error("its synchronous_standby_names = {0:?} cannot be read")]
    Unreadable(String),
    #[error(
        "its synchronous_standby_names = {0:?} lets it commit without one of its standbys, which may be promoted meanwhile"
    )]
    Dispensable(String),
    #[error("two connections that copy it go by the name of its standby {0:?}, and either confirms its commits")]
    Doubled(String),
}

impl Unfit {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Unsynced => "set fsync = on in postgresql.conf of every server",
            Self::NoStandby => {
                "name one standby, as 'FIRST 1 (s1)', and promote no other; with Patroni: synchronous_mode and \
                 synchronous_mode_strict; for trying it out, without any promise: without_standby = true"
            }
            Self::Unreadable(_) | Self::Dispensable(_) => {
                "name one standby, as 'FIRST 1 (s1)', or all of them, as 'ANY 2 (s1, s2)': the number must be that of the names, \
                 none of them '*'"
            }
            Self::Doubled(_) => {
                "give each standby, and what else copies, an application_name of its own in primary_conninfo; the connection of a \
                 standby whose machine was cut off ends within wal_sender_timeout"
            }
        }
    }
}

impl Standbys {
    pub(super) fn admit(self, facts: &Facts) -> Result<(), Unfit> {
        match self {
            _ if !facts.is_synced => Err(Unfit::Unsynced),
            #[cfg(test)]
            Self::Unchecked => Ok(()),
            Self::NotNeeded if facts.standbys.trim().is_empty() => Ok(()),
            Self::Needed | Self::NotNeeded => single(&named(&facts.standbys)?, &facts.copiers),
        }
    }
}

/// Whether each of these standbys is one connection at most: the primary takes any of that name for it.
fn single(names: &BTreeSet<String>, copiers: &[String]) -> Result<(), Unfit> {
    let mut seen = BTreeSet::new();
    let copiers = copiers.iter().map(|name| name.to_ascii_lowercase());
    let doubled = copiers.filter(|name| names.contains(name)).find(|name| !seen.insert(name.clone()));
    doubled.map_or(Ok(()), |name| Err(Unfit::Doubled(name)))
}

/// The standbys that the primary names, if it waits for every one of them. The grammar is that of syncrep_gram.y.
pub(super) fn named(text: &str) -> Result<BTreeSet<String>, Unfit> {
    let tokens = tokens(text).ok_or_else(|| Unfit::Unreadable(text.to_owned()))?;
    let keyword =
        |token: &Token, word| matches!(token, Token::Name(name, Quoted::No) if name.eq_ignore_ascii_case(word));
    let rest = match tokens.as_slice() {
        [] => return Err(Unfit::NoStandby),
        [first, rest @ ..]
            if rest.first() != Some(&Token::Comma)
                && (keyword(first, "first") || keyword(first, "any"))
                && !rest.is_empty() =>
        {
            rest
        }
        all => all,
    };
    let (number, list) = match rest {
        [Token::Name(number, Quoted::No), Token::Open, list @ .., Token::Close] => {
            (number.parse().map_err(|_| Unfit::Unreadable(text.to_owned()))?, list)
        }
        list => (1_usize, list),
    };
    let mut names = BTreeSet::new();
    for (place, token) in list.iter().enumerate() {
        match (place % 2, token) {
            (0, Token::Name(name, _)) => {
                // `*` is every standby, and a name that comes twice is that of two.
                if name == "*" || !names.insert(name.to_ascii_lowercase()) {
                    return Err(Unfit::Dispensable(text.to_owned()));
                }
            }
            (1, Token::Comma) => {}
            _ => return Err(Unfit::Unreadable(text.to_owned())),
        }
    }
    if names.is_empty() || list.last() == Some(&Token::Comma) {
        return Err(Unfit::Unreadable(text.to_owned()));
    }
    if number >= names.len() { Ok(names) } else { Err(Unfit::Dispensable(text.to_owned())) }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Name(String, Quoted),
    Comma,
    Open,
    Close,
}

#[derive(Debug, PartialEq, Eq)]
enum Quoted {
    Yes,
    No,
}

/// `None` where a quotation does not end.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ',' => tokens.push(Token::Comma),
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '"' => {
                let mut name = String::new();
                loop {
                    match letters.next()? {
                        '"' if letters.next_if_eq(&'"').is_none() => break,
                        letter => name.push(letter),
                    }
                }
                tokens.push(Token::Name(name, Quoted::Yes));
            }
            blank if blank.is_ascii_whitespace() => {}
            first => {
                let mut name = String::from(first);
                while let Some(letter) = letters.next_if(|it| !it.is_ascii_whitespace() && !",()\"".contains(*it)) {
                    name.push(letter);
                }
                tokens.push(Token::Name(name, Quoted::No));
            }
        }
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_waits_for_every_standby_that_it_names() {
        for good in [
            "s1",
            "FIRST 1 (s1)",
            "first 1(s1)",
            "ANY 1 (s1)",
            "1 (s1)",
            "\"s1\"",
            "ANY 2 (s1, s2)",
            "any 2 (s1,\"s,2\")",
            "FIRST 2 (s1, s2)",
            "2 (s1,s2)",
            "3 (s1, s2)",
            " s1 ",
            "first",
            "\"a\"\"b\"",
        ] {
            assert!(named(good).is_ok(), "{good}");
        }
        for loose in [
            "s1, s2",
            "FIRST 1 (s1, s2)",
            "ANY 1 (s1, s2)",
            "1 (s1, s2)",
            "ANY 2 (s1, s2, s3)",
            "*",
            "ANY 1 (*)",
            "\"*\"",
            "FIRST 2 (s1, S1)",
            "ANY 2 (s1, *)",
            "any, s2",
            "FIRST 0 (s1)",
        ] {
            assert_eq!(named(loose), Err(Unfit::Dispensable(loose.into())), "{loose}");
        }
        for odd in
            ["s1,", ",", "()", "FIRST (s1)", "ANY 1 (s1", "\"s1", "s1 s2", "ANY x (s1)", "1 ()", "FIRST 1 (s1) x"]
        {
            assert_eq!(named(odd), Err(Unfit::Unreadable(odd.into())), "{odd}");
        }
        for none in ["", "  "] {
            assert_eq!(named(none), Err(Unfit::NoStandby));
        }
    }

    #[test]
    fn a_server_alone_is_allowed_on_request_and_one_without_fsync_is_not() {
        let facts = |standbys: &str, is_synced| Facts {
            system: 1,
            timeline: Some(1),
            standbys: standbys.into(),
            is_synced,
            copiers: vec![],
        };
        assert_eq!(Standbys::NotNeeded.admit(&facts("", true)), Ok(()));
        assert!(Standbys::NotNeeded.admit(&facts("ANY 1 (a, b)", true)).is_err());
        assert_eq!(Standbys::NotNeeded.admit(&facts("", false)), Err(Unfit::Unsynced));
        assert_eq!(Standbys::Needed.admit(&facts("s1", false)), Err(Unfit::Unsynced));
        assert_eq!(Standbys::Needed.admit(&facts("", true)), Err(Unfit::NoStandby));
    }

    #[test]
    fn a_name_is_that_of_one_standby() {
        let admit = |standbys: &str, copiers: &[&str]| {
            let copiers = copiers.iter().map(|name| (*name).to_owned()).collect();
            let facts = Facts { system: 1, timeline: Some(1), standbys: standbys.into(), is_synced: true, copiers };
            Standbys::Needed.admit(&facts)
        };
        let doubled = |name: &str| Err(Unfit::Doubled(name.into()));
        assert_eq!(admit("s1", &[]), Ok(()));
        assert_eq!(admit("s1", &["s1", "s2", "pg_basebackup", "pg_basebackup"]), Ok(()));
        assert_eq!(admit("FIRST 1 (s1)", &["s1", "s1"]), doubled("s1"));
        assert_eq!(admit("ANY 2 (s1, \"S2\")", &["S2", "s1", "s2"]), doubled("s2"));
    }
}
