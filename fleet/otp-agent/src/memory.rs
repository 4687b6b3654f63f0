//! What the agent keeps between questions. It is gone when the agent ends.

use crate::budgets::Budgets;
use crate::lines::Lines;
use crate::per_minute::PerMinute;
use crate::sends::Sends;
use crate::together::Together;
use crate::upstream::Upstream;

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) budgets: Budgets,
    pub(crate) lines: Lines,
    /// Questions that users' own programs have for the fleet, by user id.
    pub(crate) questions: PerMinute<u32>,
    pub(crate) together: Together,
    pub(crate) sends: Sends,
    pub(crate) upstream: Upstream,
}
