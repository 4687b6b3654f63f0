//! All results of a stack: libpam's dispatcher (`libpam/pam_dispatch.c`), run with every result of every module. The
//! question is "can it happen?", so two ways that lead to the same state are one.

use std::collections::BTreeSet;

use super::module_kind::Role;
use crate::pam::pam_conf::Action;
use crate::pam::stack::{Entry, Module, Stack, What};

/// The result of a module or a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Success,
    NewAuthtokReqd,
    Ignore,
    AuthErr,
    UserUnknown,
    AuthinfoUnavail,
    ServiceErr,
    /// By pam_deny.so.
    Denied,
    /// The module does not exist.
    ModuleUnknown,
    /// Any failure, by its name in brackets.
    Failure(&'static str),
    /// PAM_PERM_DENIED: no module decided.
    NoDecision,
}

impl Answer {
    /// Its name in brackets.
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::NewAuthtokReqd => "new_authtok_reqd",
            Self::Ignore => "ignore",
            Self::AuthErr | Self::Denied => "auth_err",
            Self::UserUnknown => "user_unknown",
            Self::AuthinfoUnavail => "authinfo_unavail",
            Self::ServiceErr => "service_err",
            Self::ModuleUnknown => "module_unknown",
            Self::Failure(name) => name,
            Self::NoDecision => "perm_denied",
        }
    }
}

/// A way through a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    /// The result for the application.
    pub(super) answer: Answer,
    /// The second factor was asked for.
    pub(super) asked: bool,
    /// Another module proved who the user is.
    pub(super) proved: bool,
    /// The second factor was asked for once more.
    pub(super) asked_again: bool,
    /// A line with `deferred` came before any question.
    pub(super) judged_nothing: bool,
    /// A line with `deferred` came after a question.
    pub(super) judged: bool,
    /// It came before another module had proved who the user is.
    pub(super) judged_unproved: bool,
    /// Condition that skipped another module which would have proved it, and whether it returned PAM_SUCCESS.
    pub(super) on_condition: Option<(usize, bool)>,
    /// Entry that skipped pam_otp, and whether it returned PAM_SUCCESS.
    pub(super) passed_by: Option<(usize, bool)>,
}

/// What the modules before a line have said of the password, key or card: of two, the later value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FirstFactor {
    /// None was asked.
    Unasked,
    /// This entry has refused it.
    Refused(usize),
    /// This entry has succeeded, and may have checked something else.
    Doubtful(usize),
    Proved,
}

/// All ways through the stack. `answers` are the results to try for a module of this role.
pub(super) fn ways(stack: &Stack, answers: impl Fn(Role) -> Vec<Answer>) -> BTreeSet<Way> {
    explore(stack, |role, _| answers(role), |_, _, _| FirstFactor::Unasked, |_| {})
}

/// What is met on a way through a stack.
enum Met {
    /// One of our lines, with what is known of the first factor.
    Ours(usize, FirstFactor),
    /// A module that proves who the user is, after this line of ours has asked, and nothing before that.
    ProofAfter { ours: usize, proof: usize },
}

/// What is known of the first factor, by `first_factor`, when each of our lines is reached.
pub(super) fn arrivals(
    stack: &Stack,
    answers: impl Fn(Role, &Module) -> Vec<Answer>,
    first_factor: impl Fn(usize, &Module, Answer) -> FirstFactor,
) -> BTreeSet<(usize, FirstFactor)> {
    let mut found = BTreeSet::new();
    explore(stack, answers, first_factor, |met| {
        if let Met::Ours(at, known) = met {
            found.insert((at, known));
        }
    });
    found
}

/// Lines of ours that ask before any other module has, and the modules after them that then ask for a first factor.
pub(super) fn asked_first(
    stack: &Stack,
    answers: impl Fn(Role, &Module) -> Vec<Answer>,
    first_factor: impl Fn(usize, &Module, Answer) -> FirstFactor,
) -> BTreeSet<(usize, usize)> {
    let mut found = BTreeSet::new();
    explore(stack, answers, first_factor, |met| {
        if let Met::ProofAfter { ours, proof } = met {
            found.insert((ours, proof));
        }
    });
    found
}

/// A login that a right code lets in, and that is refused where no code is needed, though the others answer alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    /// The entry that proved who the user is.
    pub(super) proved_by: usize,
    /// The result for the application.
    pub(super) answer: Answer,
}

/// Two logins side by side: our module returns PAM_SUCCESS in one and PAM_IGNORE in the other. `answers` are the results to
/// try for another module. Those refusals count for which no module is to blame that may as well have succeeded.
pub(super) fn refused_without_code(
    stack: &Stack,
    answers: impl Fn(Role) -> Vec<Answer>,
    proves: impl Fn(Role, &Module) -> bool,
) -> BTreeSet<Refusal> {
    let begin = (State::begin(), State::begin(), None);
    let (mut seen, mut open, mut found) = (BTreeSet::new(), vec![begin], BTreeSet::new());
    while let Some(pair) = open.pop() {
        if !seen.insert(pair.clone()) {
            continue;
        }
        let (with_code, without, proved_by) = pair;
        // Each entry is met once, by both or by one, and so it has one answer.
        let next = with_code.next.min(without.next);
        let Some(entry) = stack.entries.get(next) else {
            let (accepted, refused) = (with_code.end().answer == Answer::Success, without.end().answer);
            let is_ours =
                matches!(refused, Answer::NoDecision | Answer::Ignore | Answer::Denied | Answer::ModuleUnknown);
            if let (true, true, Some(proved_by)) = (accepted, is_ours, proved_by) {
                found.insert(Refusal { proved_by, answer: refused });
            }
            continue;
        };
        let role = entry.module().map(Role::of);
        let is_ours = matches!(role, Some(Role::SecondFactor | Role::Judge));
        let all = role.filter(|_| !is_ours).map_or_else(|| vec![Answer::NoDecision], &answers);
        for answer in all {
            let step = |state: &State, ours: Answer| {
                if state.next == next {
                    state.clone().step(stack, entry, if is_ours { ours } else { answer })
                } else {
                    state.clone()
                }
            };
            let is_proof = answer == Answer::Success
                && with_code.next == next
                && entry.module().is_some_and(|module| proves(Role::of(module), module));
            let proved_by = proved_by.or(is_proof.then_some(next));
            open.push((step(&with_code, Answer::Success), step(&without, Answer::Ignore), proved_by));
        }
    }
    found
}

fn explore(
    stack: &Stack,
    answers: impl Fn(Role, &Module) -> Vec<Answer>,
    first_factor: impl Fn(usize, &Module, Answer) -> FirstFactor,
    mut meet: impl FnMut(Met),
) -> BTreeSet<Way> {
    let all_of = |role| -> Vec<usize> {
        let is_one = |entry: &Entry| entry.module().map(Role::of) == Some(role);
        stack.entries.iter().enumerate().filter(|(_, entry)| is_one(entry)).map(|(at, _)| at).collect()
    };
    let ours = [all_of(Role::SecondFactor), all_of(Role::Judge)].concat();
    let proofs = all_of(Role::Proof);
    let (mut seen, mut open, mut found) = (BTreeSet::new(), vec![State::begin()], BTreeSet::new());
    while let Some(state) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        let Some(entry) = stack.entries.get(state.next) else {
            found.insert(state.end());
            continue;
        };
        match &entry.what {
            What::Substack => open.push(state.enter(entry)),
            What::Broken(control) => {
                let action = control.action(Answer::NoDecision.name());
                open.push(state.leave(entry).act(stack, entry, action, Answer::NoDecision));
            }
            What::Module(module) => {
                let role = Role::of(module);
                let left_nothing = role == Role::Judge && !state.way.asked;
                let answers = if left_nothing { vec![Answer::AuthErr] } else { answers(role, module) };
                if matches!(role, Role::SecondFactor | Role::Judge) {
                    meet(Met::Ours(state.next, state.first_factor));
                }
                if let (Role::Proof, Some(ours)) = (role, state.asked_first) {
                    meet(Met::ProofAfter { ours, proof: state.next });
                }
                for answer in answers {
                    let mut state = state.clone().leave(entry);
                    match role {
                        Role::SecondFactor => {
                            let is_first = state.first_factor == FirstFactor::Unasked;
                            state.asked_first = state.asked_first.or(is_first.then_some(state.next));
                            state.way.asked_again = state.way.asked;
                            state.way.asked = true;
                        }
                        Role::Judge => {
                            state.way.judged_nothing |= !state.way.asked;
                            state.way.judged |= state.way.asked;
                            state.way.judged_unproved |= state.way.asked && !state.way.proved;
                        }
                        Role::Proof | Role::Program => state.way.proved |= answer == Answer::Success,
                        Role::Condition | Role::Silent | Role::Ignored | Role::Permit | Role::Deny | Role::Missing => {}
                    }
                    let at = state.next;
                    state.first_factor = state.first_factor.max(first_factor(at, module, answer));
                    let mut state = state.act(stack, entry, module.control.action(answer.name()), answer);
                    let passes = |some: &[usize]| some.iter().any(|entry| at < *entry && *entry < state.next);
                    let by = (at, answer == Answer::Success);
                    if role == Role::Condition && passes(&proofs) {
                        state.way.on_condition.get_or_insert(by);
                    }
                    if passes(&ours) {
                        state.way.passed_by.get_or_insert(by);
                    }
                    open.push(state);
                }
            }
        }
    }
    found
}

/// libpam's `impression` so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Impression {
    Undefined,
    Positive,
    Negative,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    impression: Impression,
    status: Answer,
}

/// The entry after so many modules from `next` on, and how many of them there are not. A whole substack counts as one; none is
/// left by a jump.
pub(super) fn after(stack: &Stack, level: usize, mut next: usize, mut modules: usize) -> (usize, usize) {
    let is_in = |next: usize| stack.entries.get(next).is_some_and(|next| next.level >= level);
    while modules > 0 && is_in(next) {
        next = next.saturating_add(1);
        while stack.entries.get(next).is_some_and(|next| next.level > level) {
            next = next.saturating_add(1);
        }
        modules = modules.saturating_sub(1);
    }
    (next, modules)
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    next: usize,
    standing: Standing,
    /// The standing at the beginning of each open substack, for `reset`.
    outside: Vec<Standing>,
    first_factor: FirstFactor,
    /// The line of ours that has asked before any other module.
    asked_first: Option<usize>,
    way: Way,
}

impl State {
    fn begin() -> Self {
        Self {
            next: 0,
            standing: Standing { impression: Impression::Undefined, status: Answer::NoDecision },
            outside: Vec::new(),
            first_factor: FirstFactor::Unasked,
            asked_first: None,
            way: Way {
                answer: Answer::NoDecision,
                asked: false,
                asked_again: false,
                judged_nothing: false,
                judged: false,
                judged_unproved: false,
                proved: false,
                on_condition: None,
                passed_by: None,
            },
        }
    }

    /// One entry further, with this answer of its module.
    fn step(self, stack: &Stack, entry: &Entry, answer: Answer) -> Self {
        match &entry.what {
            What::Substack => self.enter(entry),
            What::Broken(control) => self.leave(entry).act(stack, entry, control.action(answer.name()), answer),
            What::Module(module) => {
                let role = Role::of(module);
                let left_nothing = role == Role::Judge && !self.way.asked;
                let answer = if left_nothing { Answer::AuthErr } else { answer };
                let mut state = self.leave(entry);
                state.way.asked |= role == Role::SecondFactor;
                state.act(stack, entry, module.control.action(answer.name()), answer)
            }
        }
    }

    fn enter(mut self, entry: &Entry) -> Self {
        self.outside.truncate(entry.level);
        self.outside.push(self.standing);
        self.next = self.next.saturating_add(1);
        self
    }

    /// Leaves the substacks that ended before this entry.
    fn leave(mut self, entry: &Entry) -> Self {
        self.outside.truncate(entry.level);
        self
    }

    fn act(mut self, stack: &Stack, entry: &Entry, action: Action, answer: Answer) -> Self {
        let Standing { impression, status } = &mut self.standing;
        let mut skipped = 0;
        match action {
            Action::Ignore => {}
            Action::Ok | Action::Done => {
                let so_far_good = *impression == Impression::Positive && *status == Answer::Success;
                if so_far_good || *impression == Impression::Undefined {
                    (*impression, *status) = (Impression::Positive, answer);
                }
                if action == Action::Done && *impression == Impression::Positive {
                    skipped = usize::MAX;
                }
            }
            Action::Bad | Action::Die => {
                if *impression != Impression::Negative {
                    (*impression, *status) = (Impression::Negative, answer);
                }
                if action == Action::Die {
                    skipped = usize::MAX;
                }
            }
            Action::Reset => {
                let nothing = Standing { impression: Impression::Undefined, status: Answer::NoDecision };
                self.standing = self.outside.last().copied().unwrap_or(nothing);
            }
            Action::Jump(modules) => skipped = modules,
        }
        (self.next, skipped) = after(stack, entry.level, self.next.saturating_add(1), skipped);
        if matches!(action, Action::Jump(_)) && skipped > 0 {
            self.standing = Standing { impression: Impression::Negative, status: Answer::NoDecision };
        }
        self
    }

    fn end(self) -> Way {
        let Standing { impression, status } = self.standing;
        let hollow = status == Answer::Success && impression != Impression::Positive;
        Way { answer: if hollow { Answer::NoDecision } else { status }, ..self.way }
    }
}
