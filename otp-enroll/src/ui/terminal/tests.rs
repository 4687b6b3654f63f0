use super::*;

/// A terminal of 80x24 in an environment given as `NAME=value` words.
fn terminal(environment: &str) -> Terminal {
    let find = |name: &str| {
        let found = environment.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    Terminal::described_by(find, true, true, Some((100, 50)))
}

#[test]
fn colours_are_off_where_they_are_unwanted_or_unknown() {
    assert!(terminal("TERM=xterm-256color").colour);
    assert!(terminal("TERM=linux NO_COLOR=").colour, "an empty NO_COLOR does not count");
    assert!(!terminal("TERM=xterm NO_COLOR=1").colour);
    assert!(terminal("TERM=xterm NO_COLOR=1").escapes, "NO_COLOR is about colour alone");
    assert!(!terminal("TERM=vt220").colour);
    assert!(terminal("TERM=vt220").escapes);
    for none in ["TERM=dumb", "TERM=", ""] {
        assert!(!terminal(none).colour && !terminal(none).escapes, "{none}");
    }
}

#[test]
fn utf8_is_what_the_first_locale_variable_that_is_set_says() {
    assert!(terminal("LANG=en_GB.UTF-8").utf8);
    assert!(terminal("LANG=C.utf8").utf8);
    assert!(terminal("LC_ALL= LC_CTYPE= LANG=de_DE.utf8@euro").utf8);
    assert!(!terminal("LC_ALL=C LANG=en_GB.UTF-8").utf8);
    assert!(!terminal("LC_CTYPE=POSIX LANG=en_GB.UTF-8").utf8);
    assert!(terminal("LC_ALL=C.UTF-8 LC_CTYPE=POSIX LANG=C").utf8);
    assert!(!terminal("").utf8);
}

#[test]
fn the_paint_suits_the_background() {
    assert_eq!(terminal("TERM=xterm").paint(), Paint::Colour);
    assert_eq!(terminal("TERM=xterm COLORFGBG=0;15").paint(), Paint::Colour);
    assert_eq!(terminal("TERM=xterm NO_COLOR=1").paint(), Paint::Plain);
    assert_eq!(terminal("TERM=xterm NO_COLOR=1 COLORFGBG=15;0").paint(), Paint::Plain);
    assert_eq!(terminal("TERM=xterm NO_COLOR=1 COLORFGBG=0;default;15").paint(), Paint::PlainInverted);
}

#[test]
fn both_ends_make_a_conversation() {
    let ends = |typed, shown| Terminal::described_by(|_| Some("xterm".to_owned()), typed, shown, None);
    assert!(ends(true, true).interactive);
    assert!(!ends(false, true).interactive);
    assert!(!ends(true, false).interactive);
    assert!(!ends(true, false).escapes, "nothing but text goes into a file");
    assert_eq!((ends(true, true).columns, ends(true, true).rows), (80, 24));
}
