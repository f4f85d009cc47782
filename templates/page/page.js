// The page works without this: it only adds search, and says on the screen that a page has become old.
(function () {
  "use strict";
  var html = document.documentElement;

  function age() {
    var stale = Date.parse(html.dataset.stale || "");
    if (isNaN(stale)) return;
    var left = stale - Date.now();
    if (left > 0) {
      setTimeout(age, Math.min(left + 500, 3600000));
      return;
    }
    html.classList.add("stale");
    var said = document.getElementById("stale-said");
    if (said) said.hidden = false;
  }

  function finder() {
    var box = document.getElementById("find");
    if (!box) return;
    var input = box.querySelector("input"), list = box.querySelector("ul"), root = html.dataset.root || "", asked = false;
    box.hidden = false;

    function load() {
      if (asked) return;
      asked = true;
      var script = document.createElement("script");
      script.src = root + "search.js";
      script.onload = show;
      document.head.appendChild(script);
    }
    function entry(found) {
      var item = document.createElement("li"), link = document.createElement("a"), kind = document.createElement("span");
      link.href = root + found[2];
      link.textContent = found[0];
      kind.textContent = found[1];
      link.appendChild(kind);
      item.appendChild(link);
      return item;
    }
    function show() {
      var words = input.value.toLowerCase().split(/\s+/).filter(Boolean), all = window.gitkitchenIndex || [];
      list.textContent = "";
      list.hidden = !words.length;
      if (!words.length) return;
      var found = all.filter(function (one) {
        var text = (one[0] + " " + one[1]).toLowerCase();
        return words.every(function (word) { return text.indexOf(word) >= 0; });
      }).slice(0, 30);
      found.forEach(function (one) { list.appendChild(entry(one)); });
      if (!found.length) {
        var none = document.createElement("li");
        none.className = "none";
        none.textContent = all.length ? "Nothing has this name." : "The index is being read …";
        list.appendChild(none);
      }
    }
    input.addEventListener("focus", load);
    input.addEventListener("input", function () { load(); show(); });
    box.addEventListener("keydown", function (event) {
      var links = Array.prototype.slice.call(list.querySelectorAll("a")), at = links.indexOf(document.activeElement);
      if (event.key === "Escape") { input.value = ""; show(); input.focus(); }
      else if (event.key === "ArrowDown" && links.length) { links[Math.min(at + 1, links.length - 1)].focus(); event.preventDefault(); }
      else if (event.key === "ArrowUp" && at >= 0) { (at ? links[at - 1] : input).focus(); event.preventDefault(); }
      else if (event.key === "Enter" && document.activeElement === input && links.length) { links[0].click(); }
    });
    document.addEventListener("click", function (event) { if (!box.contains(event.target)) list.hidden = true; });
    document.addEventListener("keydown", function (event) {
      var tag = (event.target.tagName || "").toLowerCase();
      if (event.key === "/" && tag !== "input" && tag !== "textarea") { input.focus(); event.preventDefault(); }
    });
  }

  age();
  finder();
})();
