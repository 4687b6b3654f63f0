//! Held against the `toml` crate: what is taken here is TOML with the same meaning, and real configurations are taken.

use toml::de::{DeTable, DeValue};

use super::*;

/// A document in one spelling: keys in order, texts quoted by Rust, other values as they stand.
fn spelled(table: &Table<'_>) -> String {
    let mut all: Vec<_> =
        table.entries.iter().map(|entry| format!("{:?}: {}", entry.key, value(&entry.found.value))).collect();
    all.sort();
    format!("{{{}}}", all.join(", "))
}

fn value(of: &Value<'_>) -> String {
    match of {
        Value::Text(text) => format!("{text:?}"),
        Value::Bare(word) => bare(word),
        Value::List { all, .. } => {
            format!("[{}]", all.iter().map(|one| value(&one.value)).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => spelled(table),
    }
}

fn bare(word: &str) -> String {
    number(word).map_or_else(|| word.to_owned(), |number| number.to_string())
}

fn spelled_by_toml(table: &DeTable<'_>) -> String {
    let mut all: Vec<_> =
        table.iter().map(|(key, found)| format!("{:?}: {}", key.get_ref(), value_by_toml(found.get_ref()))).collect();
    all.sort();
    format!("{{{}}}", all.join(", "))
}

fn value_by_toml(of: &DeValue<'_>) -> String {
    match of {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| number.to_string(), |n| n.to_string())
        }
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(all) => {
            format!("[{}]", all.iter().map(|one| value_by_toml(one.get_ref())).collect::<Vec<_>>().join(", "))
        }
        DeValue::Table(table) => spelled_by_toml(table),
    }
}

/// Whether the text is taken; if it is, it means the same to the crate.
fn is_taken(text: &str) -> bool {
    let (table, faults) = read(text);
    let lines = text.matches('\n').count() + 1;
    assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{text:?}: {faults:?}");
    assert!(faults.iter().all(|fault| !fault.what.contains(char::is_control)), "{text:?}: {faults:?}");
    if !faults.is_empty() {
        return false;
    }
    match DeTable::parse(text) {
        Ok(theirs) => assert_eq!(spelled(&table), spelled_by_toml(theirs.get_ref()), "{text:?}"),
        Err(error) => panic!("{text:?} is no TOML: {error}"),
    }
    true
}

const TAKEN: [&str; 43] = [
    "",
    "\u{feff}a = 1",
    "# a comment\n\n  # another\t\n",
    "a = 1\r\nb = 2\r\n# c\r\n",
    "a = \"\"\nb = 'c:\\d'\n\"e f\" = 'g'\n'h.i' = \"j\"\n1234 = 5\n-_ = 6",
    "a = \"\\b\\t\\n\\f\\r\\\"\\\\\\u00e9\\U0001F600\"",
    "a = \"\"\"\nb\nc\"\"\"",
    "a = \"\"\"b\\\n   \n  c \\  \n\n d\"\"\"\nb = 1",
    "a = \"\"\"b\"\"c\"\"\"\nd = \"\"\"e\"\"\"\"\"\nf = \"\"\"\"\"\"",
    "a = '''\nb'c''d\\'''\ne = '''f'''''\ng = ''''''",
    "a = \"\"\"b\r\nc\"\"\"\r\nd = 1",
    "a = 0\nb = +17\nc = -3\nd = 1000\nh = -0\ni = +0",
    "a = 99999999999999999999",
    "a = true\nb=false",
    "a = 1979-05-27\nb = 2024-02-29 # a leap year",
    "a = [1, 2]\nb = []\nc = [ [1, 2], [\"x\"] ]",
    "a = [ # one\n  \"b\", # two\n\n  'c',\n]\nd = 1",
    "a = [\n]\n",
    "a = { b = 1, c = \"d\" }\ne = {}\nf = [{ g = 1 }, { g = 2 }]",
    "a = { b.c = 1, b.d = 2 }",
    "a.b = 1\na.c.d = 2\n\"a\".'e f' = 3\na . g = 4",
    "[a]\nb = 1\n[c]\n[d.e.f]\nx = 1\n[d]\ny = 2",
    "[ a . \"b c\" ]\nd = 1 # e",
    "[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3\n[[a]]",
    "[[a.b]]\nc = 1\n[[a.b]]\n[a]\nd = 1",
    "[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[[a]]\n[[a.b]]\nc = 3",
    "[a]\nb.c = 1\n[a.b.d]\ne = 2",
    "[a]\nb.c = 1\nb.d = 2\n[e]\nb.c = 1",
    "\ta\t=\t1\t\n",
    "a = \"#\" # \"\n",
    "a = \"é 漢 😀\"\n# é 漢 😀\n",
    "[policy]\nsecond_factor = \"required\"\n[[policy.rule]]\nuser = \"a\"\n[[policy.rule]]\nuser = \"b\"\n[policy.x]\ny = 1",
    "[a]\n[a.b]\n[c.a]\n",
    "a = 'b'\n\n\n\n",
    "a = [[[[[[[[1]]]]]]]]",
    "a = \"\\\\\"\nb = '\\'",
    "a = \"x\"",
    "true = false\nfalse = true\n1-2 = 3",
    "a = \"\"\"\\\"\"\"\"\nb = 1",
    "a = \"\"\"\n\n\"\"\"",
    "[a]\nb = { c = 1 }\n[d]\nb = { c = 1 }",
    "a = [1,\t2 ,3 , ]",
    "[x.y.z.w]\n[x]\n",
];

const NOT_TAKEN: [&str; 75] = [
    "a",
    "a =",
    "a = # b",
    "= 1",
    "a = 1 b = 2",
    "a = 1\na = 2",
    "a = 1\n\"a\" = 2",
    "a.b = 1\na.b = 2",
    "a = 1\na.b = 2",
    "a.b = 1\na = 2",
    "a = {b = 1}\na.c = 2",
    "a = {b = 1}\n[a]",
    "a = {b = 1}\n[a.c]",
    "a = {b = {}, b.c = 1}",
    "a = [{b = 1}]\n[[a]]",
    "a = []\n[[a]]",
    "[a]\n[a]",
    "[a]\n[[a]]",
    "[[a]]\n[a]",
    "[a.b]\n[a]\nb.c = 1",
    "[a.b]\n[a]\n[a]",
    "[a]\nb.c = 1\n[a.b]",
    "a.b = 1\n[a]",
    "a = 1\n[a]",
    "a = 1\n[a.b]",
    "[a",
    "[a]]",
    "[[a]",
    "[[a] ]",
    "[ [a]]",
    "[]",
    "[[]]",
    "[a.]",
    "[.a]",
    "[a]b = 1",
    "[a b]",
    "a.. = 1",
    "a. = 1",
    ".a = 1",
    "a b = 1",
    "é = 1",
    "\"\"\"a\"\"\" = 1",
    "a = \"b",
    "a = \"b\nc\"",
    "a = 'b",
    "a = 'b\nc'",
    "a = \"\"\"b",
    "a = '''b",
    "a = \"\"\"b\"\"\"\"\"\"",
    "a = \"\\q\"",
    "a = \"\\u12\"",
    "a = \"\\ud800\"",
    "a = \"\\U00110000\"",
    "a = \"\\u+123\"",
    "a = \"\u{1}\"",
    "a = '\u{7f}'",
    "a = \"\"\"\u{8}\"\"\"",
    "a = \"\"\"b\rc\"\"\"",
    "# \u{0}",
    "# a\rb = 1",
    "a = 1\rb = 2",
    "a = yes",
    "a = True",
    "a = 007",
    "a = 1__0",
    "a = _1",
    "a = 1_",
    "a = 0x",
    "a = +0x1",
    "a = 1.",
    "a = .5",
    "a = 2027-02-30",
    "a = [1 2]",
    "a = {b = 1",
    "a = [1, 2",
];

#[test]
fn what_is_toml_is_taken_and_means_the_same() {
    for text in TAKEN {
        assert!(is_taken(text), "{text:?}: {:?}", read(text).1);
    }
    let shipped = include_str!("../../../../config/pam_otp.toml");
    assert!(is_taken(shipped));
    // Each line that is commented out, too.
    let set: String = shipped.lines().map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line))).collect();
    assert!(set.lines().filter(|line| is_taken(line)).count() > 40);
}

#[test]
fn what_is_no_toml_is_a_fault() {
    for text in NOT_TAKEN {
        assert!(!is_taken(text), "{text:?} is taken");
    }
}

/// These are TOML, and a configuration has none of them: nothing is read in them that is not meant.
#[test]
fn what_no_configuration_has_is_a_fault() {
    for text in [
        "a = inf",
        "a = -nan",
        "a = 07:32:00",
        "a = 1979-05-27T07:32:00Z",
        "a = 1979-05-27 07:32:00",
        "a = {\n b = 1 }",
    ] {
        assert!(DeTable::parse(text).is_ok() && !is_taken(text), "{text}");
    }
    assert!(!is_taken(&format!("a = {}{}", "[".repeat(40_000), "]".repeat(40_000))));
}

/// Each text with each byte left out, doubled, or another in its place: nothing is taken that is no TOML, or means something else.
#[test]
fn texts_with_a_slip_of_the_pen_mean_what_toml_says_or_nothing() {
    let (mut tried, mut taken) = (0, 0);
    let mut try_one = |text: String| {
        tried += 1;
        taken += usize::from(is_taken(&text));
    };
    for text in TAKEN.iter().chain(&NOT_TAKEN) {
        let letters: Vec<char> = text.chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            let [before, from, behind] = [&letters[..at], &letters[at..], &letters[at + 1..]].map(String::from_iter);
            let others = "\n\r\t \"'#=[]{}.,\\-+_0e1xa\u{1}é".chars().map(String::from);
            for slip in others.chain([String::new(), letter.to_string().repeat(2), "\"\"\"".into(), "[[".into()]) {
                try_one(format!("{before}{slip}{behind}"));
                try_one(format!("{before}{slip}{from}"));
            }
        }
    }
    assert!(tried > 80_000 && taken > 4_000, "{taken} of {tried}");
}

#[test]
fn each_key_and_value_knows_its_line() {
    let text = "# one\n\na = [\n 1,\n 2]\n[b]\nc = \"\"\"\nd\n\"\"\"\nd = 1\r\n\r\n[[e]]\n[[e]]\nf = '''\n'''\n\ng = \"\"\"h\\\n\n\n i\"\"\"\nj = 0";
    let (table, faults) = read(text);
    assert_eq!(faults, []);
    let lines =
        |table: &Table<'_>| table.entries.iter().map(|entry| (entry.line, entry.found.line)).collect::<Vec<_>>();
    assert_eq!(lines(&table), [(3, 3), (6, 6), (12, 12)]);
    let Value::List { all, .. } = &table.get("a").unwrap().found.value else { panic!() };
    assert_eq!(all.iter().map(|one| one.line).collect::<Vec<_>>(), [4, 5]);
    let Value::Table(b) = &table.get("b").unwrap().found.value else { panic!() };
    assert_eq!(lines(b), [(7, 7), (10, 10)]);
    let Value::List { all, .. } = &table.get("e").unwrap().found.value else { panic!() };
    assert_eq!(all.iter().map(|one| one.line).collect::<Vec<_>>(), [12, 13]);
    let Value::Table(last) = &all[1].value else { panic!() };
    assert_eq!(lines(last), [(14, 14), (17, 17), (21, 21)]);
}

#[test]
fn a_fault_is_said_where_it_is_and_the_rest_is_read() {
    for (text, line, what) in [
        ("\n[code\n", 2, "the heading of a table ends with ]"),
        ("a = \"x", 1, "a text ends in its line, with \""),
        ("a = 1\n\n\nb = \"\"\"x\n\n", 4, "a text of lines ends with \"\"\""),
        ("a = x", 1, "no value: x; a text stands in quotes, a number is whole, and a date is like 2027-01-31"),
        ("a = [\n1,\n2\nb = 3", 4, "a list has commas between its values, and ends with ]"),
        ("a = \"\\w\"", 1, "no such letter; a backslash is written \\\\"),
        ("a 1", 1, "a key is followed by = and its value"),
        ("a = 1\na = 2", 2, "duplicate key a"),
        ("a = 1 2", 1, "no value: 1 2; a text stands in quotes, a number is whole, and a date is like 2027-01-31"),
        ("a = 'b' c", 1, "the line does not end where its value ends; a comment begins with #"),
        ("# a\rb", 1, "a control character stands here; lines end with a line feed"),
    ] {
        assert_eq!(read(text).1, [Fault { line, what: what.to_owned() }], "{text}");
    }
    let (table, faults) = read("a = x\nb = 1\n[c\nd = 1\n[e]\nf = 2");
    assert_eq!((spelled(&table).as_str(), faults.len()), ("{\"b\": 1, \"e\": {\"f\": 2}}", 2));
}

#[test]
fn the_first_control_character_is_found_wherever_it_is() {
    for control in (0..=0x7f_u8).filter(|byte| byte.is_ascii_control() && *byte != b'\t') {
        for length in 0..20 {
            for at in 0..length {
                for other in [b'\t', b' ', b'~', 0x80, 0xff, 0x9f] {
                    let mut bytes = vec![other; length];
                    assert_eq!(before_control(&bytes), length);
                    bytes[at] = control;
                    assert_eq!(before_control(&bytes), at, "{control} at {at} of {length} beside {other}");
                }
            }
        }
    }
}
