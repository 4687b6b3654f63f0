//! What is installed: files, manual, examples, completions, confinement and pictures.

mod artefact;
mod completions;
mod confinement;
mod examples;
mod fail2ban;
mod installation;
mod layers;
mod manual;
mod pictures;
mod versions;
