//! A code is the code that was meant, however a phone, a keyboard or a terminal writes it.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{conversation::Talk, desk::Desk};

/// Digits of another script, by their zero.
fn in_script(code: &str, zero: char) -> String {
    let digit = |digit: char| char::from_u32(u32::from(zero) + digit.to_digit(10).unwrap()).unwrap();
    code.chars().map(digit).collect()
}

#[test]
fn digits_blanks_hyphens_and_pastes_of_every_kind_are_the_code_that_was_meant() {
    let desk = Desk::new("[lockout]\nafter = 1\n");
    let half = |code: &str, between: &str| format!("{}{between}{}", &code[..3], &code[3..]);
    let forms: [&dyn Fn(&str) -> String; 9] = [
        &|code| in_script(code, '\u{660}'),
        &|code| in_script(code, '\u{6f0}'),
        &|code| in_script(code, '\u{ff10}'),
        &|code| in_script(code, '\u{1d7ce}'),
        &|code| half(code, "\u{a0}"),
        &|code| half(code, "-"),
        &|code| half(code, "\u{2013}"),
        &|code| format!("\u{feff}\u{200e}{code}\u{200b}"),
        &|code| format!("\u{1b}[200~{code}\u{1b}[201~"),
    ];
    for form in forms {
        let code = form(&desk.next());
        assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_SUCCESS", "{code:?}");
        // It is used up, not one more code.
        assert_eq!(desk.talk().run(&[desk.phone.last_code()]).result("authenticate"), "PAM_AUTH_ERR", "{code:?}");
    }
    for hyphen in ["\u{2010}", "\u{2011}", "\u{2212}", "\u{200b}"] {
        let code = desk.phone.recovery_code().replace('-', hyphen);
        assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_SUCCESS", "{code:?}");
    }
}

#[test]
fn a_code_of_another_script_is_parted_from_a_password_too() {
    let desk = Desk::new("");
    desk.service.set(&desk.site.auth("required", "forward_pass"));
    for code in [in_script(&desk.next(), '\u{660}'), format!("{}\u{200b}", desk.next())] {
        let both = format!("secret{code}");
        let said = Talk::new(&desk.service, &desk.user.name).run(&[&both]);
        assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{both:?}");
    }
}
