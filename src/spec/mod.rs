//! What is asked for, in the forms that users write it: each is turned into a
//! [`Desired`](crate::desired::Desired).

pub(crate) mod scaling;
pub(crate) mod sources;
