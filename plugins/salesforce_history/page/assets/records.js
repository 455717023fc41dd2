// Records: search as you type, and what was found.
import { usePages } from "./api.js";
import { many, When, Value, title } from "./format.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Loading, Problem } from "./notices.js";
import { Record } from "./record.js";
import { hashOf, settle } from "./routes.js";
import { Name, Standing } from "./standing.js";
import { More } from "./tables.js";

const PAUSE = 200;

export function Records({ object, route, now, chooser }) {
  return route.id
    ? html`<${Record} key=${route.id} object=${object} id=${route.id} at=${route.query.at} q=${route.query.q} now=${now} />`
    : html`<${Search} object=${object} q=${route.query.q ?? ""} chooser=${chooser} />`;
}

function Search({ object, q, chooser }) {
  const [typed, setTyped] = useState(q);
  const [asked, setAsked] = useState(q);
  const list = useRef(null);
  const box = useRef(null);
  useEffect(() => {
    const wait = setTimeout(() => {
      setAsked(typed.trim());
      if (typed.trim() !== q) settle(hashOf("record", object.noun, null, { q: typed.trim() || null }));
    }, PAUSE);
    return () => clearTimeout(wait);
  }, [typed]);
  const pages = usePages(`${object.noun} ${asked}`, { path: [object.noun, "records"], parameters: { q: asked || null }, list: "records" });
  const searched = pages.first?.searched ?? ["id", "name"];
  const ways = searched.map((way) => ({ id: "Id", name: "name", email: "e-mail" })[way] ?? way);

  function move(event) {
    const links = [...(list.current?.querySelectorAll("a") ?? [])];
    const here = links.indexOf(document.activeElement);
    const target = { ArrowDown: links[here + 1], ArrowUp: here > 0 ? links[here - 1] : box.current, Escape: box.current }[event.key];
    if (!target) return;
    event.preventDefault();
    target.focus();
  }

  return html`<div>
    <div class="view-head"><h1>${object.object} records</h1>${chooser}</div>
    <form role="search" class="search" onSubmit=${(event) => event.preventDefault()} onKeyDown=${move}>
      <label for="search-box">Search by ${ways.join(", ").replace(/, ([^,]*)$/, " or $1")}</label>
      <input
        id="search-box"
        ref=${box}
        type="search"
        autocomplete="off"
        spellcheck="false"
        value=${typed}
        placeholder=${`Part of a name, or an Id`}
        aria-describedby="search-hint"
        onInput=${(event) => setTyped(event.currentTarget.value)}
      />
      <p
        id="search-hint"
        class="muted"
      >Results come as you type; the arrow keys walk through them. An Id counts whole, with 15 or 18 characters.</p>
    </form>
    <p class="hidden" role="status">${said(pages, asked)}</p>
    ${pages.problem && html`<${Problem} problem=${pages.problem} again=${pages.again} />`}
    ${!pages.first && !pages.problem && html`<${Loading} what="Searching" />`}
    ${
      pages.first &&
      html`<div class=${pages.loading ? "stale" : ""}>
      ${
        pages.items.length === 0
          ? html`<${NotFound} asked=${asked} />`
          : html`<ul class="results" ref=${list} onKeyDown=${move}>
              ${pages.items.map((found) => html`<${Found} key=${found.id} found=${found} noun=${object.noun} q=${asked} tracked=${object.tracked} />`)}
            </ul>
            <${More} pages=${pages} total=${pages.first.total} one="record" />`
      }
    </div>`
    }
  </div>`;
}

function NotFound({ asked }) {
  if (!asked) return html`<p class="nothing">There is no record yet.</p>`;
  return html`<p class="nothing">Nothing is found for <strong><bdi>${asked}</bdi></strong>. Try fewer letters.</p>`;
}

function said(pages, asked) {
  if (pages.loading || !pages.first) return "";
  const count = pages.first.total ?? pages.items.length;
  const more = pages.first.total === null && pages.next ? " or more" : "";
  return `${many(count, "record")}${more} found${asked ? ` for ${asked}` : ""}`;
}

function Found({ found, noun, q, tracked }) {
  return html`<li>
    <a href=${hashOf("record", noun, found.id, { q: q || null })}>
      <span class="result-name"><${Name} of=${found.name} /></span>
      <code class="result-id">${found.id}</code>
      <span class="result-values">
        ${tracked.map((field) => html`<span key=${field}><span class="muted">${title(field)}</span> <${Value} of=${found.values[field]} /></span>`)}
      </span>
      <span class="result-state">
        <${Standing} deleted=${found.is_deleted} active=${found.is_active} />${" "}
        <span class="muted">since <${When} at=${found.since} seconds=${false} /></span>
      </span>
    </a>
  </li>`;
}
