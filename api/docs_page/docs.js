'use strict';

// Neither cookies nor credentials that the browser has kept: only what is entered here. So a wrong password is answered on
// this page, and not by the browser's own prompt.
const WITHOUT_KEPT = { credentials: 'omit' };

async function load(path) {
  const answer = await fetch(path, WITHOUT_KEPT);
  return answer.json();
}

// The document without the headers that every answer may have, which are said once.
function shortened(spec) {
  const operations = Object.values(spec.paths).flatMap(Object.values);
  const answers = [...Object.values(spec.components.responses), ...operations.flatMap(({ responses }) => Object.values(responses))];
  // A path that is too long is refused by the HTTP library, without any of them.
  const headers = answers.map((answer) => answer.headers).filter(Boolean);
  const common = Object.keys(headers[0]).filter((name) => headers.every((some) => name in some));
  headers.forEach((some) => common.forEach((name) => delete some[name]));
  spec.info.description += `\nHeaders that any answer may have: ${common.map((name) => `\`${name}\``).join(', ')}.\n`;
  // As seen from this page, wherever a proxy has put it.
  spec.servers = [{ url: new URL('.', document.baseURI).href.replace(/\/$/, '') }];
  return spec;
}

async function showApi() {
  SwaggerUIBundle({
    spec: shortened(await load('api/v2/openapi.json')),
    dom_id: '#api',
    deepLinking: true,
    docExpansion: 'list',
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    filter: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: (request) => Object.assign(request, WITHOUT_KEPT),
  });
}

function made(name, text, ...children) {
  const element = document.createElement(name);
  element.textContent = text;
  element.append(...children);
  return element;
}

// An action: what it does, an example, and the shapes of its messages, with those of their data in place of references.
function described(name, operation, { messages, schemas }) {
  const inlined = (key, value) => (value?.$ref ? schemas[value.$ref.split('/').pop()] : value);
  const shape = (message) => JSON.stringify(messages[message].payload, inlined, 2);
  const example = JSON.stringify(messages[name].examples[0].payload);
  const text = `For example:\n${example}\n\nThe request:\n${shape(name)}\n\nThe answer:\n${shape(`${name}Answer`)}`;
  return made('details', '', made('summary', '', made('code', name), operation.summary), made('pre', text));
}

async function showWebSocket() {
  const { info, operations, components } = await load('api/v2/asyncapi.json');
  document.getElementById('about').textContent = info.description.replaceAll('`', '');
  document.getElementById('actions').append(
    ...Object.entries(operations).map(([name, operation]) => described(name, operation, components)),
  );
}

// A page that shows nothing should say why.
function failed(error) {
  document.getElementById('api').textContent = `The API's description cannot be shown: ${error.message}`;
}

showApi().catch(failed);
if (document.body.classList.contains('websocket')) showWebSocket().catch(failed);
