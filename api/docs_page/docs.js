'use strict';

// Neither cookies nor credentials that the browser has kept: only what was entered here. So a wrong password is answered on
// this page, and not by the browser's own prompt.
SwaggerUIBundle({
  url: new URL('api/v2/openapi.json', document.baseURI).href,
  dom_id: '#api',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  requestInterceptor: (request) => Object.assign(request, { credentials: 'omit' }),
});

function made(name, text, ...children) {
  const element = document.createElement(name);
  element.textContent = text;
  element.append(...children);
  return element;
}

// An action: what it does, a request, and the schemas of its messages.
function described(name, operation, { messages, schemas }) {
  const shown = (message) => ({ ...messages[message].payload, examples: messages[message].examples?.map(({ payload }) => payload) });
  const withShapes = (message) => {
    const data = messages[message].payload.properties.data?.$ref?.split('/').pop();
    return data ? { ...shown(message), data: schemas[data] } : shown(message);
  };
  const text = JSON.stringify({ request: withShapes(name), answer: withShapes(`${name}Answer`) }, null, 2);
  return made('details', '', made('summary', '', made('code', name), operation.summary), made('pre', text));
}

async function showWebSocket() {
  const answer = await fetch('api/v2/asyncapi.json', { credentials: 'omit' });
  if (!answer.ok) return; // it is not served here
  const document_ = await answer.json();
  document.getElementById('about').textContent = document_.info.description;
  document.getElementById('actions').append(
    ...Object.entries(document_.operations).map(([name, operation]) => described(name, operation, document_.components)),
  );
  document.getElementById('websocket').hidden = false;
  document.getElementById('asyncapi').hidden = false;
}

showWebSocket();
