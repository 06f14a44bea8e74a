//! The programs as a user has them: their output, screens, exit codes and pages.

mod batch;
mod install;
mod screens;
mod survey;
mod trace;
