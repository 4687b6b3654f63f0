//! What administrators do: users, policy, imports and rollouts.

mod accounts_change;
mod admin;
mod all_users;
mod bundle;
mod clock_was_ahead;
mod dead_rules;
mod devices;
mod escapes;
mod idempotence;
mod import;
mod import_google_authenticator;
mod import_tokens;
mod passcode;
mod policy;
mod refusals;
mod renamed;
mod requiring;
mod rollout;
mod seal;
mod texts;
mod turn_on;
mod unmet_sessions;
