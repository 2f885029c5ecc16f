//! The routes, the middleware around them, and the document that describes them.

use std::{
    future::ready,
    sync::{Arc, LazyLock},
};

use actix_web::{
    App, Error, HttpResponse, Resource, Route,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    http::{Method, header::HeaderValue},
    middleware::{Next, from_fn},
    web::{self, Data},
};
use utoipa::OpenApi;

use crate::{
    endpoints::{docs, find_order, health, list_orders, metrics, openapi, place_order, take_order},
    errors::{ErrorCode, Problem},
    middleware::middleware,
    openapi::complete,
    state::AppState,
};

/// Declares the routes and their documentation, so that neither exists without the other.
macro_rules! routes {
    ($($path:literal: $($method:ident $module:ident::$handler:ident),+;)+) => {
        #[derive(OpenApi)]
        #[openapi(paths($($($module::$handler),+),+))]
        struct Paths;

        fn resources() -> Vec<Resource> {
            let mut resources = vec![];
            $(for pattern in patterns($path) {
                let routes = vec![$((Method::$method, web::to($module::$handler))),+];
                resources.push(resource($path, &pattern, routes));
            })+
            resources
        }

        #[cfg(test)]
        const ROUTES: &[(&str, &str)] = &[$($(($path, stringify!($method))),+),+];
    };
}

routes! {
    "/orders": GET list_orders::list_orders, POST place_order::place_order;
    "/orders/{id}": GET find_order::find_order, PATCH take_order::take_order;
    "/healthcheck": GET health::healthcheck;
    "/livez": GET health::livez;
    "/readyz": GET health::readyz;
    "/metrics": GET metrics::metrics;
    "/openapi.json": GET openapi::openapi;
    "/docs/": GET docs::docs;
}

/// The API as an actix-web application.
pub fn app(
    state: &Arc<AppState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    let state = Arc::clone(state);
    let unknown_path = || ready(Err::<HttpResponse, _>(Problem::from(ErrorCode::UnknownPath)));
    App::new()
        .app_data(Data::from(Arc::clone(&state)))
        .app_data(Data::new(openapi::OpenApiText(openapi_document())))
        .configure(|config| {
            for resource in resources() {
                config.service(resource);
            }
        })
        // Without the slash the browser would look for the files of the page in the wrong folder.
        .service(web::redirect("/docs", "/docs/").permanent())
        .default_service(web::to(unknown_path))
        .wrap(from_fn(move |request, next: Next<BoxBody>| {
            let state = Arc::clone(&state);
            async move { middleware(&state, request, next).await }
        }))
}

/// The OpenAPI document as formatted JSON.
#[must_use]
pub fn openapi_document() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let document = complete(Paths::openapi());
        document.to_pretty_json().expect("the document is valid JSON") + "\n"
    });
    &TEXT
}

/// The patterns of a path. A trailing slash has no effect, so there are two. A path that ends with a
/// slash is a page, which has files.
///
/// Each pattern has its own resource: actix-web matches several patterns of one resource by regular
/// expressions, also those without a parameter.
fn patterns(path: &str) -> Vec<String> {
    if path.ends_with('/') {
        vec![format!("{path}{{file:[^/]*}}")]
    } else {
        vec![path.to_owned(), format!("{path}/")]
    }
}

/// A pattern with its methods. Other methods receive `method_not_allowed`.
///
/// `HEAD` works wherever `GET` does; the server omits the body.
fn resource(path: &'static str, pattern: &str, routes: Vec<(Method, Route)>) -> Resource {
    let allowed: Vec<_> = routes.iter().map(|(method, _)| method.as_str()).collect();
    let allowed = HeaderValue::from_str(&allowed.join(", ").replace("GET", "GET, HEAD"))
        .expect("names of methods are ASCII");
    let reject =
        move || ready(Err::<HttpResponse, _>(Problem::method_not_allowed(allowed.clone())));
    let mut resource = web::resource(pattern).default_service(web::to(reject));
    if path.ends_with('/') {
        // The path of a missing file does not exist for any method.
        resource = resource.guard(guard::fn_guard(move |context| {
            let file = context.head().uri.path().strip_prefix(path);
            file.is_some_and(docs::is_file)
        }));
    }
    routes.into_iter().fold(resource, |resource, (method, route)| {
        resource.route(match method {
            Method::GET => route.guard(guard::Any(guard::Get()).or(guard::Head())),
            method => route.method(method),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(openapi_document()).unwrap()
    }

    /// The document does not list `HEAD`.
    #[test]
    fn documented_paths_are_the_paths_that_exist() {
        let exist: BTreeSet<_> = ROUTES
            .iter()
            .map(|(path, method)| ((*path).to_owned(), method.to_lowercase()))
            .collect();
        let document = document();
        let documented: BTreeSet<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone()))
            })
            .collect();
        assert_eq!(exist, documented);
    }

    #[test]
    fn every_reference_of_the_document_has_a_target() {
        fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(|target| target.as_str()));
                    for value in members.values() {
                        references(value, found);
                    }
                }
                Value::Array(elements) => {
                    for value in elements {
                        references(value, found);
                    }
                }
                _ => {}
            }
        }
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 5, "{found:?}");
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }
}
