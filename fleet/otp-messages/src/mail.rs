//! A message as sendmail(1) reads it (RFC 5322).

use std::fmt::Write;

use otp_core::value::destination::Destination;

/// Most characters of an encoded word (RFC 2047 §2).
const LONGEST_WORD: usize = 75;

/// The code is not in the subject, which locked screens show.
pub(crate) fn mail(to: &Destination, subject: &str, text: &str) -> String {
    format!(
        "To: {}\nSubject: {}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}\n",
        to.as_str(),
        header(subject)
    )
}

/// The value of a header line: plain ASCII as it is, other texts in encoded words (RFC 2047 §4.2), of which a line has one.
fn header(text: &str) -> String {
    let is_plain = |letter: char| letter == ' ' || letter.is_ascii_graphic();
    if text.chars().all(is_plain) && !text.contains("=?") {
        return text.to_owned();
    }
    let (start, end) = ("=?utf-8?Q?", "?=");
    let (mut value, mut word) = (String::new(), String::from(start));
    for letter in text.chars() {
        let encoded = encoded(if letter.is_control() { '?' } else { letter });
        if word.len().saturating_add(encoded.len()).saturating_add(end.len()) > LONGEST_WORD {
            let _ = write!(value, "{word}{end}\n ");
            start.clone_into(&mut word);
        }
        word.push_str(&encoded);
    }
    value + &word + end
}

fn encoded(letter: char) -> String {
    match letter {
        ' ' => "_".to_owned(),
        _ if letter.is_ascii_alphanumeric() => letter.to_string(),
        _ => letter.to_string().bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "={byte:02X}");
            text
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use otp_core::value::destination::Channel;

    #[test]
    fn a_mail_has_a_head_of_six_lines_and_the_text() {
        let to = Destination::parse(Channel::Email, "alice@example.org").unwrap();
        let (subject, text) = ("Your code for host.example", "481 2093 is your code\n\nNot you?");
        let mail = mail(&to, subject, text);
        let (head, body) = mail.split_once("\n\n").unwrap();
        assert_eq!(head.lines().count(), 6, "{head}");
        assert!(head.starts_with("To: alice@example.org\nSubject: Your code for host.example\n"), "{head}");
        assert_eq!(body, "481 2093 is your code\n\nNot you?\n");
    }

    #[test]
    fn a_subject_in_any_language_is_ascii_and_adds_no_header_of_its_own() {
        assert_eq!(header("Ihr Code für h"), "=?utf-8?Q?Ihr_Code_f=C3=BCr_h?=");
        assert_eq!(header("=?utf-8?Q?x?="), "=?utf-8?Q?=3D=3Futf=2D8=3FQ=3Fx=3F=3D?=");
        assert_eq!(header("höst\nBcc: x"), "=?utf-8?Q?h=C3=B6st=3FBcc=3A_x?=");
        let long = header(&"ключ ".repeat(20));
        assert!(long.lines().count() > 5 && long.is_ascii(), "{long}");
        for (number, line) in long.lines().enumerate() {
            let word = if number == 0 { Some(line) } else { line.strip_prefix(' ') }.unwrap();
            assert!(word.len() <= 75 && word.starts_with("=?utf-8?Q?") && word.ends_with("?="), "{word}");
        }
    }
}
