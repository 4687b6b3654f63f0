use super::{DARK, DARK_ON_LIGHT, LIGHT, Paint, Qr, RESET};

/// The QR code of a text of this many bytes.
fn code(bytes: usize) -> Qr {
    Qr::of(&"x".repeat(bytes)).unwrap()
}

type Modules = Vec<Vec<bool>>;

/// The modules of the encoder, `true` for dark, with a light border.
fn modules(qr: &Qr, quiet: i32) -> Modules {
    let side = quiet.saturating_neg()..qr.size() + quiet;
    side.clone().map(|y| side.clone().map(|x| qr.dark(x, y)).collect()).collect()
}

/// Reads half blocks back. The lower half of the last row is outside the code.
fn from_half_blocks(qr: &Qr, paint: Paint) -> Modules {
    let rows = qr.half_blocks(paint).into_iter().flat_map(|line| {
        let line = match paint {
            Paint::Colour => line.strip_prefix(DARK_ON_LIGHT).unwrap().strip_suffix(RESET).unwrap().to_owned(),
            Paint::Plain | Paint::PlainInverted => line,
        };
        assert!(!line.contains('\x1b'));
        let inked = |glyphs: [char; 2]| -> Vec<bool> {
            line.chars().map(|c| glyphs.contains(&c) != (paint == Paint::Plain)).collect()
        };
        [inked(['█', '▀']), inked(['█', '▄'])]
    });
    let mut rows: Modules = rows.collect();
    let outside = rows.pop().unwrap();
    assert!(outside.iter().all(|dark| !dark), "modules outside are light");
    rows
}

fn from_ascii(qr: &Qr, paint: Paint) -> Modules {
    let read = |line: String| match paint {
        Paint::Colour => {
            let line = line.strip_suffix(RESET).unwrap().replace(DARK, "D").replace(LIGHT, "L");
            assert!(!line.contains('\x1b'));
            let runs = line.split_inclusive("D").flat_map(|part| part.split_inclusive("L"));
            let mut colour = 'L';
            let mut row = Vec::new();
            for run in runs {
                row.extend(std::iter::repeat_n(colour == 'D', run.matches("  ").count()));
                colour = run.chars().last().unwrap();
            }
            row
        }
        Paint::Plain | Paint::PlainInverted => {
            let cells: Vec<char> = line.chars().collect();
            assert!(cells.chunks(2).all(|pair| pair[0] == pair[1]));
            cells.chunks(2).map(|pair| (pair[0] == '#') == (paint == Paint::PlainInverted)).collect()
        }
    };
    qr.ascii(paint).into_iter().map(read).collect()
}

#[test]
fn the_smallest_version_that_fits_is_used() {
    for (bytes, modules) in [(78, 33), (79, 37), (106, 37), (107, 41), (134, 41), (135, 45), (250, 57)] {
        assert_eq!(code(bytes).size(), modules, "{bytes} bytes");
    }
}

#[test]
fn a_code_of_134_bytes_takes_45_columns_and_23_rows() {
    for (bytes, columns, rows) in [(78, 37, 19), (106, 41, 21), (134, 45, 23)] {
        let qr = code(bytes);
        assert_eq!(qr.half_block_space(), (columns, rows));
        assert_eq!(qr.ascii_space(), (columns * 2, columns));
        for paint in [Paint::Plain, Paint::PlainInverted] {
            let lines = qr.half_blocks(paint);
            assert_eq!(lines.len(), rows);
            assert!(lines.iter().all(|line| line.chars().count() == columns));
            let lines = qr.ascii(paint);
            assert_eq!(lines.len(), columns);
            assert!(lines.iter().all(|line| line.len() == columns * 2));
        }
        assert_eq!(qr.half_blocks(Paint::Colour).len(), rows);
        assert_eq!(qr.ascii(Paint::Colour).len(), columns);
    }
}

#[test]
fn every_form_shows_the_same_modules() {
    for bytes in [78, 106, 134, 250] {
        let qr = code(bytes);
        for paint in [Paint::Colour, Paint::Plain, Paint::PlainInverted] {
            assert_eq!(from_half_blocks(&qr, paint), modules(&qr, 2), "half blocks, {paint:?}");
            assert_eq!(from_ascii(&qr, paint), modules(&qr, 2), "ascii, {paint:?}");
        }
    }
}

#[test]
fn a_key_in_base32_takes_less_room_than_other_text() {
    let key = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let uri = format!("otpauth://totp/server01.dc2.example-company.com:firstname.lastname?secret={key}");
    // Version 5: 41 columns and 21 rows with the border.
    assert_eq!(Qr::of(&uri).unwrap().half_block_space(), (41, 21));
    for (other, modules) in [(54, 33), (55, 37), (82, 37), (83, 41), (110, 41)] {
        assert_eq!(Qr::of(&("x".repeat(other) + key)).unwrap().size(), modules, "{other}");
    }
    assert_eq!(Qr::of(&key.repeat(134)).unwrap().size(), Qr::of(&"x".repeat(2953)).unwrap().size());
}

#[test]
fn the_longest_dense_part_is_found_and_a_short_one_is_no_part() {
    use super::around_dense;
    assert_eq!(around_dense("https://x?A=ABCDEFGHIJKLMNOP&b"), ("https://x?A=", "ABCDEFGHIJKLMNOP", "&b"));
    assert_eq!(around_dense("x=ABCDEFGHIJKLMNO"), ("x=ABCDEFGHIJKLMNO", "", ""));
    assert_eq!(around_dense("ABCDEFGHIJKLMNOP"), ("", "ABCDEFGHIJKLMNOP", ""));
    assert_eq!(around_dense(""), ("", "", ""));
    let all = " $%*+-./:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    assert_eq!(around_dense(all), ("", all, ""));
    for other in (0..128u8).map(char::from).filter(|character| !all.contains(*character)) {
        assert_eq!(around_dense(&format!("{other}{all}")).0, other.to_string());
    }
}

#[test]
fn a_text_that_is_too_long_is_an_error_and_not_a_panic() {
    let error = Qr::of(&"x".repeat(2954)).unwrap_err();
    assert_eq!(error.to_string(), "2954 bytes do not fit into a QR code");
}

#[test]
fn debug_output_does_not_show_the_code() {
    assert_eq!(format!("{:?}", code(78)), "Qr(..)");
}

#[test]
fn what_another_process_draws_is_what_was_encoded() {
    for bytes in [1, 78, 250, 2953] {
        let qr = code(bytes);
        let read = Qr::read(&qr.hex()).unwrap();
        assert_eq!(modules(&read, 3), modules(&qr, 3), "{bytes}");
    }
    // Version 1 has 441 modules, in 111 digits.
    for odd in [String::new(), "0".repeat(110), "0".repeat(112), "g".repeat(111)] {
        assert!(Qr::read(&odd).is_none(), "{odd}");
    }
    assert!(modules(&Qr::read(&"0".repeat(111)).unwrap(), 0).concat().iter().all(|dark| !dark));
}
