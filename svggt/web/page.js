// The keys of this browser's scenes. The address bar has the reader's key, which people copy; the
// owner's stays in the browser's storage. In a frame of a Space the address bar is its parent's,
// which is told as the hub documents it.
window.svggt = (() => {
  const PLACE = "svggt", MOST = 50;

  function kept() {
    try { return JSON.parse(localStorage.getItem(PLACE)) || {}; } catch { return {}; }
  }

  function remember(reader, owner) {
    const others = Object.entries(kept()).filter(([key, value]) => key !== reader && value !== owner);
    try {
      const newest = [...others, [reader, owner]].slice(-MOST);
      localStorage.setItem(PLACE, JSON.stringify(Object.fromEntries(newest)));
    } catch { /* without storage a reload is read-only */ }
  }

  function show(query) {
    const queryString = query.toString();
    history.replaceState(null, "", location.pathname + (queryString && "?" + queryString));
    if (window.parent !== window) {
      window.parent.postMessage({ queryString, hash: "" }, "https://huggingface.co");
    }
  }

  return {
    // "reader owner" of the address that this page was opened by; either may be empty.
    arrive() {
      const query = new URLSearchParams(location.search), reader = query.get("s") || "";
      const given = new URLSearchParams(location.hash.slice(1)).get("owner");
      if (given) {
        remember(reader, given);
        show(query);  // the owner's key is not for the address bar
      }
      return [`${reader} ${given || kept()[reader] || ""}`];
    },
    // Takes over what the page shows now.
    keep(keys) {
      const [reader, owner] = keys.split(" ");
      const query = new URLSearchParams(location.search);
      if (reader) query.set("s", reader); else query.delete("s");
      if (reader && owner) remember(reader, owner);
      if (query.toString() !== new URLSearchParams(location.search).toString()) show(query);
      document.body.classList.toggle("reader", Boolean(reader && !owner));
      document.body.classList.toggle("scene", Boolean(reader));
    },
    // The keys, once Delete was pressed twice: a frame of a Space may open no dialog.
    confirmed(keys, example) {
      const button = document.querySelector("#delete"), owner = keys.split(" ")[1];
      if (!owner) return ["", example];
      if (button.dataset.sure) {
        button.calm();
        return [keys, example];
      }
      const text = button.textContent;
      button.dataset.sure = "1";
      button.textContent = "Press again to delete: its links will open nothing";
      button.calm = () => { delete button.dataset.sure; button.textContent = text; };
      setTimeout(() => button.dataset.sure && button.calm(), 6000);
      return ["", example];
    },
    fullScreen() {
      if (document.fullscreenElement) document.exitFullscreen();
      else document.querySelector("#eye").requestFullscreen();
    },
    showKeys() {
      document.querySelector("#help dialog").showModal();
    },
    async copy(keys) {
      const [reader, owner] = keys.split(" ");
      if (!owner) return;
      const link = `${location.origin}${location.pathname}?s=${reader}#owner=${owner}`;
      if (navigator.clipboard) await navigator.clipboard.writeText(link);
      else window.prompt("Your own link", link);  // pages without https may not copy
    },
  };
})();
