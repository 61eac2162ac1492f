// Show the OpenAPI document of this service, with a form to send each request.

import { at } from "./charts.js";

// Make an element: its text, attributes and children are never read as HTML.
function made(name, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
}

// Text with `code` in backquotes.
function prose(text) {
  return made("p", {}, ...text.split("`").map((part, n) => (n % 2 ? made("code", {}, part) : part)));
}

// A part of the document, or what its reference leads to.
function resolved(part, document) {
  return part?.$ref ? part.$ref.split("/").slice(1).reduce((found, name) => found[name], document) : part;
}

// A schema as the text of an example: types in place of values.
function shape(schema, document, indent = "") {
  if (schema.$ref) return shape(resolved(schema, document), document, indent);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${shape(schema.items, document, indent)}, …]`;
  if (!schema.properties) {
    const unit = schema.description ? ` (${schema.description})` : "";
    const from = schema.minimum === undefined ? "" : ` ≥ ${schema.minimum}`;
    const to = schema.maximum === undefined ? "" : `, ≤ ${schema.maximum}`;
    return `${[schema.type].flat().join(" | ")}${unit}${from}${to}`;
  }
  const required = new Set(schema.required);
  const lines = Object.entries(schema.properties).map(
    ([name, value]) => `${indent}  "${name}"${required.has(name) ? "" : "?"}: ${shape(value, document, `${indent}  `)}`,
  );
  return `{\n${lines.join(",\n")}\n${indent}}`;
}

function table(heads, rows) {
  const line = (kind, cells) => made("tr", {}, ...cells.map((cell) => made(kind, {}, cell)));
  const whole = made("table", {}, made("thead", {}, line("th", heads)), made("tbody", {}, ...rows.map((cells) => line("td", cells))));
  return made("div", { className: "wide", tabIndex: 0 }, whole);
}

function field(name, parameter, operation) {
  const label = `${operation.operationId}: ${parameter.name}`;
  const choices = parameter.schema.enum;
  if (!choices) return made("input", { name, ariaLabel: label });
  return made("select", { name, ariaLabel: label }, ...["", ...choices].map((value) => made("option", { value }, value)));
}

async function send(path, method, operation, form, answer) {
  const query = new URLSearchParams();
  const headers = {};
  (operation.parameters ?? []).forEach((parameter, n) => {
    const value = form.elements[`parameter-${n}`].value;
    if (value && parameter.in === "query") query.set(parameter.name, value);
    if (value && parameter.in === "header") headers[parameter.name] = value;
  });
  const file = form.elements.file?.files[0];
  answer.textContent = "…";
  try {
    const found = await fetch(`${path.slice(1)}?${query}`, { method: method.toUpperCase(), headers, body: file });
    const text = await found.text();
    const json = found.headers.get("content-type")?.startsWith("application/json");
    answer.textContent = `${found.status}\n${json ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
  } catch (error) {
    answer.textContent = `The service cannot be reached: ${error.message}`;
  }
}

function shown(path, method, operation, document) {
  operation.parameters = operation.parameters?.map((each) => resolved(each, document));
  operation.requestBody = resolved(operation.requestBody, document);
  const answer = made("pre", { ariaLive: "polite", hidden: true, tabIndex: 0 });
  const parts = [prose(operation.description ?? operation.summary)];
  const form = made("form");
  if (operation.parameters) {
    const rows = operation.parameters.map((parameter, n) => [
      made("code", {}, parameter.name),
      parameter.in,
      `${parameter.description} ${parameter.schema.enum ? "" : shape(parameter.schema, document)}`,
      field(`parameter-${n}`, parameter, operation),
    ]);
    form.append(made("h2", {}, "Parameters"), table(["name", "in", "meaning", "value"], rows));
  }
  if (operation.requestBody) {
    const kinds = Object.keys(operation.requestBody.content).join(", ");
    const file = made("label", {}, "Recording: ", made("input", { type: "file", name: "file", required: true }));
    form.append(made("h2", {}, "Body"), made("p", {}, `${operation.requestBody.description} `, made("code", {}, kinds)), made("p", {}, file));
  }
  form.append(made("button", { type: "submit" }, "Send"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer.hidden = false;
    send(path, method, operation, form, answer);
  });
  const rows = Object.entries(operation.responses).map(([status, part]) => {
    const response = resolved(part, document);
    const [kind, content] = Object.entries(response.content ?? {})[0] ?? ["", {}];
    const body = content.schema ? shape(content.schema, document) : "";
    const meaning = made("span", {}, `${response.description} `, made("code", {}, kind));
    return [made("code", {}, status), meaning, made("pre", {}, body)];
  });
  parts.push(form, answer, made("h2", {}, "Answers"), table(["status", "meaning", "shape"], rows));
  const title = [made("code", {}, `${method.toUpperCase()} ${path}`), ` ${operation.summary.replaceAll("`", "")}`];
  return made("details", { className: "card", id: operation.operationId }, made("summary", {}, ...title), ...parts);
}

try {
  const found = await fetch("openapi.json");
  const described = await found.json();
  if (!found.ok) throw new Error(described.error);
  at("version").textContent = `version ${described.info.version} ·`;
  at("about").replaceWith(prose(described.info.description));
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      at("operations").append(shown(path, method, operation, described));
    }
  }
} catch (error) {
  at("fault").textContent = `The document cannot be shown: ${error.message}`;
}
