"""Mail, by SMTP with STARTTLS: plain text and HTML. ``Message-ID`` names the message, the same however often
it is sent, so that mailboxes which look at it keep one; messages of one incident make one thread.
"""

from __future__ import annotations

import html
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from hashlib import sha256

from gitkitchen.alerts.channels.contract import PATIENCE, Answer, Surroundings, secret
from gitkitchen.alerts.message import Words, is_web, listed
from gitkitchen.kitchen.alerting import HERE
from gitkitchen.model import Channel
from gitkitchen.printed import text_safe

PORTS = {"starttls": 587, "tls": 465, "none": 25}


def plain(words: Words) -> str:
    """The text part."""
    lines = [words.title, "", *(f"{label}: {text}" for label, text in words.facts)]
    if words.things:
        lines += ["", "Failing:" if words.kind != "closed" else "Recovered:"]
        lines += [f"  - {thing}" for thing in listed(words)]
    if words.changed:
        lines += ["", "Changed since the last green run:", *(f"  - {text}" for text in words.changed)]
    if words.command:
        lines += ["", "Reproduce:", f"  {words.command}"]
    lines += ["", f"Runbook: {words.runbook}"] if words.runbook else []
    lines += ["", f"Job: {words.job}"] if words.job else []
    return "\n".join([*lines, "", f"GitKitchen {words.id}", ""])


def as_html(words: Words) -> str:
    """The HTML part: a table, no style from elsewhere, no image, no script."""
    esc = html.escape
    rows = "".join(
        f'<tr><th align="left" valign="top" style="padding:2px 12px 2px 0">{esc(label)}</th>'
        f"<td>{esc(text)}</td></tr>"
        for label, text in words.facts
    )
    parts = [f'<h2 style="font-size:18px">{esc(words.title)}</h2><table>{rows}</table>']
    if words.things:
        items = "".join(f"<li>{esc(thing)}</li>" for thing in listed(words))
        parts.append(f"<ul>{items}</ul>")
    if words.changed:
        items = "".join(f"<li>{esc(text)}</li>" for text in words.changed)
        parts.append(f"<p><b>Changed since the last green run</b></p><ul>{items}</ul>")
    if words.command:
        parts.append(f"<p><b>Reproduce</b></p><pre>{esc(words.command)}</pre>")
    links = []
    if words.runbook:
        shown = f'<a href="{esc(words.runbook)}">Runbook</a>' if is_web(words.runbook) else esc(words.runbook)
        links.append(shown)
    if words.job:
        links.append(f'<a href="{esc(words.job)}">Job</a>')
    parts += [f"<p>{' · '.join(links)}</p>"] if links else []
    parts.append(f"<p><small>GitKitchen {esc(words.id)}</small></p>")
    body = "".join(parts)
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><body>{body}</body></html>\n'


def message(words: Words, channel: Channel) -> EmailMessage:
    """The mail. Headers hold one line each, whatever the words say."""
    made = EmailMessage()
    made["Subject"] = words.title
    made["From"] = _address(channel.config["from"], "GitKitchen")
    made["To"] = [_address(one) for one in channel.config["to"]]
    domain = str(channel.config["from"]).rpartition("@")[2]
    made["Message-ID"] = _id(words.id, channel.name, domain)
    if words.kind != "test":
        root = _id(words.incident, channel.name, domain)
        made["References"] = root
        made["In-Reply-To"] = root
    made["Auto-Submitted"] = "auto-generated"
    made["X-GitKitchen-Id"] = words.id
    made.set_content(plain(words), cte="quoted-printable")
    made.add_alternative(as_html(words), subtype="html", cte="quoted-printable")
    # A boundary that is the same each time makes the same mail the same bytes.
    made.set_boundary(f"=_gitkitchen_{sha256(words.id.encode()).hexdigest()[:24]}")
    return made


def _id(name: str, channel: str, domain: str) -> str:
    return f"<{name}.{channel}@{domain}>"


def _address(text: str, name: str = "") -> Address:
    user, _, domain = text.rpartition("@")
    return Address(name, user, domain)


def send(words: Words, channel: Channel, about: Surroundings) -> Answer:
    """A server that took the message has it; where its last word is lost nobody knows."""
    config = channel.config
    host, security = str(config["host"]).strip("[]"), config.get("security", "starttls")
    user, password = (secret(channel, k, about.environ) if k in config else "" for k in ("user", "password"))
    mail, patience = message(words, channel), max(min(PATIENCE, about.left()), 0.1)
    context = _context(host, about)
    handed = False
    try:
        server: smtplib.SMTP
        if security == "tls":
            server = smtplib.SMTP_SSL(
                host, config.get("port", PORTS["tls"]), timeout=patience, context=context
            )
        else:
            server = smtplib.SMTP(host, config.get("port", PORTS[security]), timeout=patience)
        with server:
            if security == "starttls":
                server.starttls(context=context)
            if user:
                server.login(user, password)
            handed = True
            refused = server.send_message(mail)
    except ssl.SSLCertVerificationError:
        return Answer("refused", "the server's certificate is not trusted")
    except smtplib.SMTPServerDisconnected:
        return Answer("unanswered" if handed else "busy", "the server ended the connection")
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        return _no(code, said)
    except smtplib.SMTPResponseException as error:
        return _no(error.smtp_code, error.smtp_error)
    except smtplib.SMTPException as error:
        return Answer("refused", f"the server cannot do it ({type(error).__name__})")
    except (OSError, ValueError) as error:
        return Answer("unanswered" if handed else "busy", f"no answer came ({type(error).__name__})")
    if refused:
        return Answer("sent", f"taken, but not for {len(refused)} of {len(config['to'])} receivers")
    return Answer("sent", "the server took it")


def _no(code: int, said: bytes | str) -> Answer:
    """4xx: later; 5xx: never (RFC 5321, 4.2.1)."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    shown = f"{code} {' '.join(text_safe(text).split())[:200]}"
    return Answer("busy" if 400 <= code < 500 else "refused", shown)


def _context(host: str, about: Surroundings) -> ssl.SSLContext:
    """Certificates are checked. ``SSL_CERT_FILE`` names others to trust, as for every program."""
    made = ssl.create_default_context()
    extra = about.environ.get("SSL_CERT_FILE", "")
    if extra and host in HERE:
        made.load_verify_locations(extra)
    return made
