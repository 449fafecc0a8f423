//! Routes as [`axum::routing`] makes them, of handlers whose types are forgotten.
//!
//! axum compiles about a hundred functions for each type of handler. The handlers of these routes have one type, so that
//! the functions are compiled once for each state, and not once for each route.

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{self, MethodRouter};
use futures_util::future::BoxFuture;

type Answer = BoxFuture<'static, Response>;

struct Forgotten<S>(Arc<dyn Fn(Request, S) -> Answer + Send + Sync>);

impl<S> Clone for Forgotten<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: 'static> Handler<(), S> for Forgotten<S> {
    type Future = Answer;

    fn call(self, request: Request, state: S) -> Answer {
        (self.0)(request, state)
    }
}

fn forgotten<T, S>(handler: impl Handler<T, S, Future = Answer>) -> Forgotten<S> {
    Forgotten(Arc::new(move |request, state| handler.clone().call(request, state)))
}

/// A function that makes the route of a method, under the name of the method.
macro_rules! methods {
    ($($method:ident)*) => {$(
        pub(crate) fn $method<T, S>(handler: impl Handler<T, S, Future = Answer>) -> MethodRouter<S>
        where
            S: Clone + Send + Sync + 'static,
        {
            routing::$method(forgotten(handler))
        }
    )*};
}

methods! { get post patch delete }
