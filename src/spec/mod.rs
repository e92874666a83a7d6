//! What is asked for, in the forms that users write it: each is turned into a
//! [`Desired`](crate::desired::Desired).

mod jsonc;
mod keys;
pub(crate) mod scaling;
pub(crate) mod sources;
