//! Short stories of a whole engine on a disk that refuses, told step by step where a choice source would
//! only rarely go.

mod bounds;
mod catalog;
mod catalog_journal;
mod checkpoints;
mod flips;
mod full_disk;
mod limits;
mod machine;
mod segments;
mod sessions;
mod strays;
