//! Who takes the steps of an enrollment in the middle of a login: a helper of root, in the files of this host; the agent, where a fleet
//! keeps the record.

use otp_core::error::CoreError;
use otp_core::protocol::enrollment_messages::{Step, Told};
use otp_core::protocol::request::Confidential;
use otp_core::service::agent_authority::AgentAuthority;
use otp_core::service::enrolling_helper::EnrollingHelper;
use otp_core::system::config_file::Site;

use crate::authority::{is_fleets, of_authority};
use crate::outcome::ModuleError;
use crate::privileges::{Privileges, RaisedLimits};

/// Enrolls one user, in a process of root.
pub(crate) struct Enroller<'a> {
    user: &'a str,
    keeper: Keeper<'a>,
    /// The helper has them, too.
    _limits: RaisedLimits,
}

enum Keeper<'a> {
    Host(Box<EnrollingHelper>),
    /// With an enrollment between two steps, sealed.
    Fleet(AgentAuthority<'a>, Option<Confidential>),
}

impl<'a> Enroller<'a> {
    pub(crate) fn of(site: &Site, user: &'a str) -> Result<Self, ModuleError> {
        let privileges = Privileges::of_this_process();
        let limits = privileges.raise_limits()?;
        let keeper = if is_fleets(site, user)? {
            Keeper::Fleet(AgentAuthority { user }, None)
        } else {
            // The helper takes its real user id from this process, and answers root alone. So the user who started a set-user-ID
            // host cannot stop it, either.
            Keeper::Host(Box::new(privileges.shielded(|| EnrollingHelper::start(&site.path))?))
        };
        Ok(Self { user, keeper, _limits: limits })
    }

    /// Takes a step. What is told is durable.
    pub(crate) fn take(&mut self, step: &Step<'_>) -> Result<Told, CoreError> {
        match &mut self.keeper {
            Keeper::Host(helper) => helper.step(self.user, step),
            Keeper::Fleet(agent, under_way) => agent.enroll_during_login(step, under_way).map_err(of_authority),
        }
    }
}
