//! What the simulated disk keeps, what it loses and how it fails, as short stories.

mod faults;
mod keeps;
mod story;
