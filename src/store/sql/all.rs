//! The statements that all databases share. These files are compiled once for each database, so that they can use plain sqlx
//! calls; generic code would need a page of trait bounds. What differs is in the module `dialect` of each database.

mod accounts;
mod answers;
mod api_tokens;
mod counts;
mod devices;
mod grants;
mod in_force;
mod limits;
mod links;
mod logins;
mod opening;
mod rows;
mod settings;
mod short_lived;
mod statements;
mod trail;
mod whole;

use super::dialect;

pub(super) use in_force::in_force;
pub(super) use logins::find;
pub(super) use opening::found;
