//! Sessions in virtual time: a client and a server against each other, hostile peers, and recordings of real ones.

// cfg(test) lets clippy know that the whole of each module is test code
#[cfg(test)]
mod commands;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod play;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod recorded;
