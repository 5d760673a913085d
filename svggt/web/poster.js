// What lies over viser's client until it draws its first points: a picture of the scene where there
// is one, and a line that says what is waited for. An empty view never looks like a failure; where a
// browser draws no 3D at all, the poster says so and stays.
{
  const [, kind, name] = location.pathname.split("/");
  const picture = { replay: `/replay/${name}.jpg`, shared: `/thumbnail/${name}`, embed: `/thumbnail/${name}` }[kind];
  const draws = window.draws3d;  // as how_to_draw.js found
  const line = !draws ? "This browser draws no 3D here: WebGL is off. Turn on hardware acceleration in its settings, or open this page in another browser. Pictures, figures and exports work." : picture ? "Loading the 3D scene …" : "The first points are on their way …";
  const poster = document.createElement("div"), back = document.createElement("div"), text = document.createElement("p");
  const over = "position: absolute; inset: 0;";
  poster.id = "poster";
  poster.setAttribute("role", "status");
  poster.style.cssText = `${over} position: fixed; z-index: 1000; overflow: hidden; pointer-events: none; background: #0e1117;
    display: grid; place-items: center; transition: opacity 0.4s;`;
  back.style.cssText = `${over} inset: -24px; filter: blur(12px) brightness(0.55);
    background: center / cover ${picture ? `url("${picture}")` : "linear-gradient(#2c3442, #0e1117)"};`;
  text.style.cssText = "position: relative; margin: 0 24px; max-width: 60ch; padding: 6px 14px; border-radius: 8px; background: rgb(14 17 23 / 78%); color: #e8ecf2; font: 14px system-ui, sans-serif;";
  text.textContent = line;
  poster.append(back, text);
  document.documentElement.append(poster);

  const gl = draws ? WebGL2RenderingContext.prototype : {};
  const { drawArrays, drawElements, drawElementsInstanced, drawArraysInstanced } = gl;
  const before = { drawArrays, drawElements, drawElementsInstanced, drawArraysInstanced };
  const lift = () => {
    Object.assign(gl, before);
    poster.style.opacity = 0;
    setTimeout(() => poster.remove(), 500);
  };
  for (const [name, call] of draws ? Object.entries(before) : []) {
    gl[name] = function (mode, ...rest) {
      const instances = name.endsWith("Instanced") ? rest.at(-1) : 0;
      if (mode === this.POINTS || instances > 500) lift();  // points, or surfels
      return call.call(this, mode, ...rest);
    };
  }
  if (draws) setTimeout(lift, 30_000);  // a scene may have no point that is shown
}
