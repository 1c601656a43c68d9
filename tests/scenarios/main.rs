mod closure;
mod killed;
mod program;
mod site;
mod tools;
mod whole_sites;
