//! What the agent keeps between questions. It is gone when the agent ends.

use crate::budgets::Budgets;
use crate::lines::Lines;
use crate::sends::Sends;
use crate::together::Together;
use crate::upstream::Upstream;

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) budgets: Budgets,
    pub(crate) lines: Lines,
    pub(crate) together: Together,
    pub(crate) sends: Sends,
    pub(crate) upstream: Upstream,
}
