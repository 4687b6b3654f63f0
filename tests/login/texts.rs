//! What a login shows where it leads through enrollment, as it stands in `snapshots`. Its other texts are in
//! `tests/conversations`.

use pam_otp_tests::{
    conversation::{Event, Talk},
    phone,
    phone::Phone,
    service::Service,
    session::{Session, qr_codes},
    site::Site,
    users::TestUser,
};

#[test]
fn enrollment_in_the_middle_of_a_login() {
    let lena = TestUser::named("lena");
    let site = Site::new("");
    site.set_with_table("issuer = \"host.example.org\"\n[policy]\nsecond_factor = \"enroll\"");
    let service = Service::private(&site.set_up_stack());
    let mut session = Session::default();
    for (title, answers) in [
        ("what is no code, and a user who goes away", &["hello"][..]),
        ("three wrong codes", &["wrong", "wrong", "wrong"]),
        ("a code of another time", &["late", "code", "no", "yes"]),
    ] {
        let mut conversation = Talk::new(&service, &lena.name).calls("login").start();
        let mut answers = answers.iter();
        let mut device: Option<Phone> = None;
        while let Some(event) = conversation.listen() {
            if !event.is_prompt() {
                continue;
            }
            if device.is_none() {
                let texts: Vec<String> = conversation.events().iter().map(text).collect();
                device = Some(Phone::with_key(&site, &lena.name, &phone::key(&texts.join("\n"))));
            }
            let phone = device.as_ref().unwrap();
            match answers.next() {
                Some(&"wrong") => conversation.answer(phone.wrong()),
                Some(&"late") => conversation.answer(phone.code(-100)),
                Some(&"code") => conversation.answer(phone.code(0)),
                Some(answer) => conversation.answer(answer),
                None => conversation.hang_up(),
            }
        }
        let said = conversation.finish();
        let seen: Vec<String> = said.events.iter().map(text).collect();
        session.device(&device.unwrap().app, &phone::recovery_codes(&seen.join("\n")));
        session.conversation(title, &said);
    }
    insta::assert_snapshot!("enrollment", qr_codes(&session.text()));
}

fn text(event: &Event) -> String {
    match event {
        Event::PromptOff(text) | Event::PromptOn(text) | Event::Info(text) | Event::Error(text) => text.clone(),
        Event::Delay(_) | Event::Measured(..) | Event::Env(_) | Event::Result(..) => String::new(),
    }
}
