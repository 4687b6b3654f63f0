use super::*;

fn lines(mut input: &[u8]) -> Vec<String> {
    std::iter::from_fn(|| match read_line(&mut input) {
        Ok(line) => Some(line.expose().to_owned()),
        Err(AskError::Closed) => None,
        Err(AskError::Io(error)) => panic!("{error}"),
    })
    .collect()
}

#[test]
fn a_line_ends_where_it_ends() {
    assert_eq!(lines(b"123 456\nsecond\r\n\nlast"), ["123 456", "second", "", "last"]);
    assert!(lines(b"").is_empty());
}

#[test]
fn of_a_long_line_the_beginning_is_kept_and_the_rest_is_gone() {
    let input = format!("{}\nnext\n", "7".repeat(100_000));
    assert_eq!(lines(input.as_bytes()), ["7".repeat(256), "next".to_owned()]);
}

#[test]
fn what_is_not_utf8_is_no_answer_at_all() {
    assert_eq!(lines(b"12\xff456\n123456\n"), ["\u{fffd}", "123456"]);
}

#[test]
fn an_interrupted_read_goes_on_and_a_broken_one_is_told() {
    struct Broken(Vec<io::ErrorKind>);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.pop().unwrap_or(io::ErrorKind::Other).into())
        }
    }
    let error = read_line(Broken(vec![io::ErrorKind::BrokenPipe, io::ErrorKind::Interrupted])).unwrap_err();
    assert_eq!(error.to_string(), "the terminal cannot be used: broken pipe");
    let closed = read_line(io::empty()).unwrap_err();
    assert_eq!(closed.to_string(), "the input ended before the question was answered");
}

#[test]
fn debug_output_does_not_show_what_was_typed() {
    assert_eq!(format!("{:?}", read_line(&b"123456\n"[..]).unwrap()), "Line(..)");
}
