// The keys of this browser's scenes. The address bar has the reader's key, which people copy; the
// owner's stays in the browser's storage. In a frame of a Space the address bar is its parent's,
// which is told as the hub documents it.
window.svggt = (() => {
  const PLACE = "svggt", MOST = 50;

  // Scenes by the reader's key, the newest last; the first version kept the owner's key alone.
  function kept() {
    try {
      const found = Object.entries(JSON.parse(localStorage.getItem(PLACE)) || {});
      const whole = (scene) => (typeof scene === "string" ? { owner: scene } : scene);
      return Object.fromEntries(found.map(([reader, scene]) => [reader, whole(scene)]));
    } catch { return {}; }
  }

  function keepAll(scenes) {
    try {
      localStorage.setItem(PLACE, JSON.stringify(Object.fromEntries(scenes.slice(-MOST))));
    } catch { /* without storage a reload is read-only */ }
  }

  function remember(reader, owner) {
    if (!/^[\w-]+$/.test(reader)) return;  // no key of ours
    const isOther = ([key, scene]) => key !== reader && scene.owner !== owner;
    const scenes = Object.entries(kept()), last = scenes.find((scene) => !isOther(scene));
    const scene = { at: Date.now(), ...last?.[1], owner };
    keepAll([...scenes.filter(isOther), [reader, scene]]);
    listScenes();
  }

  function change(reader, changes) {
    const scenes = kept();
    if (reader in scenes) keepAll(Object.entries({ ...scenes, [reader]: { ...scenes[reader], ...changes } }));
  }

  function make(tag, attributes, ...children) {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  }

  // A line of "My scenes": all of it is text that this browser keeps.
  function lineOf([reader, scene]) {
    const when = scene.at ? new Date(scene.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "";
    const picture = make("img", { src: `/thumbnail/${reader}`, alt: "", width: 80, height: 60 });
    const open = make("a", { href: `?s=${reader}`, title: "Open this scene" }, picture, when || "Open");
    const field = (key, label) => make("input", {
      value: scene[key] || "", placeholder: label, ariaLabel: `${label} of the scene`, maxLength: 200,
      onchange: (event) => change(reader, { [key]: event.target.value }),
    });
    const line = make("li", {}, open, field("name", "Name"), field("note", "Note"));
    const forget = make("button", {
      textContent: "Forget", title: "Takes it off this list; it stays at its links",
      onclick: () => { keepAll(Object.entries(kept()).filter(([key]) => key !== reader)); listScenes(); },
    });
    let asked = 0;
    picture.onload = () => {  // one pixel: there is no frame yet
      if (picture.naturalWidth === 1 && picture.isConnected && ++asked < 20) {
        setTimeout(() => { picture.src = `/thumbnail/${reader}?${Date.now()}`; }, 3000);
      }
    };
    picture.onerror = () => { open.replaceChildren("Not there: expired, deleted, revoked, or the server is away"); };
    line.append(forget);
    return line;
  }

  function listScenes() {
    const list = document.querySelector("#mine ul");
    if (!list) return;  // its drawer is closed
    const lines = Object.entries(kept()).reverse().map(lineOf);
    const none = make("li", {}, "None yet. Scenes that you make are listed here, in this browser only.");
    list.replaceChildren(...(lines.length ? lines : [none]));
  }

  function show(query) {
    const queryString = query.toString();
    history.replaceState(null, "", location.pathname + (queryString && "?" + queryString));
    if (window.parent !== window) {
      window.parent.postMessage({ queryString, hash: "" }, "https://huggingface.co");
    }
  }

  // The example's replay is not loaded before the scene that a link names.
  new MutationObserver((_, observer) => {
    const first = document.querySelector("iframe.viewer[data-first]");
    if (!first) return;
    observer.disconnect();
    if (!new URLSearchParams(location.search).get("s")) first.src = first.dataset.first;
  }).observe(document, { childList: true, subtree: true });

  // Another tab of its owner may have resumed the scene, or cleared it. A page that follows a run
  // knows by itself.
  document.addEventListener("visibilitychange", () => {
    const follows = !document.querySelector("#stop")?.disabled, { classList } = document.body;
    if (!document.hidden && classList.contains("scene") && !classList.contains("reader") && !follows) {
      document.querySelector("#again")?.click();
    }
  });

  const isOwner = (keys) => Boolean(keys.split(" ")[1]);

  // Whether a button was pressed twice: a frame of a Space may open no dialog.
  function sure(selector, question) {
    const button = document.querySelector(selector);
    if (button.dataset.sure) {
      button.calm();
      return true;
    }
    const text = button.textContent;
    button.dataset.sure = "1";
    button.textContent = question;
    button.calm = () => { delete button.dataset.sure; button.textContent = text; };
    setTimeout(() => button.dataset.sure && button.calm(), 6000);
    return false;
  }

  let lookFrom = () => {};  // tells the link that is being copied
  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  // A button says something for a while.
  function say(button, text) {
    const before = (button.dataset.text ||= button.textContent);
    button.textContent = text;
    setTimeout(() => { button.textContent = before; }, 4000);
  }

  // A browser lets a page copy within a click; what is copied may still be on its way.
  async function copy(selector, title, query) {
    const link = query.then((said) => location.origin + location.pathname + said);
    const text = link.then((said) => new Blob([said], { type: "text/plain" }));
    try {
      await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
      say(document.querySelector(selector), "Copied");
    } catch {
      window.prompt(title, await link);  // pages without https may not copy
    }
  }

  // A link may name a moment: here the timeline goes there, in a reader's page the replay does.
  function goTo(frame) {
    let tries = 0;
    const going = setInterval(() => {
      const slider = document.querySelector("#moment input[type=range]");
      const there = slider?.offsetParent && Number(slider.max) >= frame;
      if (there) {
        slider.value = frame;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
      }
      if (there || ++tries > 100) clearInterval(going);
    }, 200);
  }

  return {
    // "reader owner" of the address that this page was opened by; either may be empty.
    arrive() {
      const query = new URLSearchParams(location.search), reader = query.get("s") || "";
      const given = new URLSearchParams(location.hash.slice(1)).get("owner");
      if (query.get("at") > 0) goTo(Number(query.get("at")));
      if (given) {
        remember(reader, given);
        show(query);  // the owner's key is not for the address bar
      }
      return [`${reader} ${given || kept()[reader]?.owner || ""}`];
    },
    // Takes over what the page shows now.
    keep(keys) {
      const [reader, owner] = keys.split(" ");
      const query = new URLSearchParams(location.search);
      if (reader !== query.get("s")) for (const key of ["at", "eye"]) query.delete(key);
      if (reader) query.set("s", reader); else query.delete("s");
      if (reader && owner) remember(reader, owner);
      if (query.toString() !== new URLSearchParams(location.search).toString()) show(query);
      document.body.classList.toggle("reader", Boolean(reader && !owner));
      document.body.classList.toggle("scene", Boolean(reader));
    },
    // The keys, once Delete was pressed twice.
    confirmed(keys, example) {
      const meant = isOwner(keys) && sure("#delete", "Press again to delete: its links will open nothing");
      return [meant ? keys : "", example];
    },
    revoked(keys) {
      const meant = isOwner(keys) && sure("#revoke", "Press again: the old link will open nothing");
      return [meant ? keys : ""];
    },
    fullScreen() {
      if (document.fullscreenElement) document.exitFullscreen();
      else document.querySelector("#eye").requestFullscreen();
    },
    listScenes() {
      requestAnimationFrame(() => requestAnimationFrame(listScenes));  // once the drawer is open
    },
    // A PNG of the view, by this browser: drawn at twice its size for a moment.
    async picture() {
      const frame = document.querySelector("#views iframe.viewer");
      const canvas = frame?.contentDocument?.querySelector("canvas[data-engine]");
      if (!canvas) return say(document.querySelector("#shot"), "Nothing to see yet");
      const before = frame.style.cssText, { width, height } = frame.getBoundingClientRect();
      const wide = 2 * width * devicePixelRatio;
      const times = wide / canvas.width;  // a slow browser draws fewer pixels than it shows
      frame.style.cssText = `position: absolute; transform-origin: 0 0;
        transform: scale(${1 / times}); min-width: 0; max-width: none; min-height: 0;
        max-height: none; width: ${times * width}px`;
      frame.style.setProperty("height", `${times * height}px`, "important");
      try {
        for (let tries = 0; canvas.width < 0.95 * wide && tries < 50; tries++) await wait(100);
        const drawn = make("canvas", { width: canvas.width, height: canvas.height });
        const context = drawn.getContext("2d");
        const isEmpty = () => !context.getImageData(drawn.width / 2, drawn.height / 2, 1, 1).data[3];
        await wait(500);
        for (let tries = 0; isEmpty() && tries < 100; tries++) {  // what is drawn lasts for a frame
          await new Promise(frame.contentWindow.requestAnimationFrame);
          context.drawImage(canvas, 0, 0);
        }
        const blob = await new Promise((done) => drawn.toBlob(done, "image/png"));
        const address = URL.createObjectURL(blob);
        make("a", { href: address, download: "scene.png" }).click();
        setTimeout(() => URL.revokeObjectURL(address), 10_000);
      } finally {
        frame.style.cssText = before;
      }
    },
    // Where a file comes, in its drawer, which has just been opened.
    async showExport(asked) {
      if (document.fullscreenElement) await document.exitFullscreen();  // it lies outside
      for (let tries = 0; tries < 30 && !document.querySelector("#export"); tries++) await wait(100);
      document.querySelector("#export")?.scrollIntoView({ block: "center" });
      return asked;
    },
    showKeys() {
      const help = document.querySelector("#help dialog");
      help.showModal();  // which scrolls to its button
      help.scrollTop = 0;
    },
    copyOwner(keys) {
      const [reader, owner] = keys.split(" ");
      if (owner) copy("#copy-owner", "Your own link", Promise.resolve(`?s=${reader}#owner=${owner}`));
    },
    // To the frame that the timeline shows, seen from here: where that is, `lookFrom` says.
    copyView(keys) {
      const reader = keys.split(" ")[0], frame = document.querySelector("#moment input[type=number]").value;
      const eye = new Promise((done) => { lookFrom = done; setTimeout(done, 5000, ""); });
      const query = eye.then((from) => `?s=${reader}&at=${frame}` + (from && `&eye=${from}`));
      if (reader) copy("#copy-view", "Link to this view", query);
      return [keys];
    },
    lookFrom: (eye) => lookFrom(eye),
  };
})();
