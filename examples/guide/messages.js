/**
 * Every word of the guide, in three languages. Plain text: views escape it like any other text.
 * `{name}` is a value that the page fills in.
 */
'use strict'

const en = {
  'language.name': 'English',
  skip: 'Skip to the content',
  'nav.main': 'Main',
  'nav.account': 'Account',
  'nav.shop': 'Shop',
  'nav.cart': 'Cart',
  'nav.preferences': 'Preferences',
  'nav.session': 'Session',
  'nav.sign-in': 'Sign in',
  'nav.sign-out': 'Sign out',
  footer: 'The guide app of rust-session-store. Nothing here is for sale.',

  'item.kettle': 'Tea kettle',
  'item.skillet': 'Skillet',
  'item.bell': 'Shop bell',
  'item.key': 'Lost key',
  'item.horseshoe': 'Horseshoe',
  'item.anvil': 'Small anvil',

  'shop.title': 'Things made of iron',
  'shop.intro': 'A small shop that remembers you in one place only: your session.',
  'shop.add': 'Add',
  'shop.in-cart': '{count} in your cart',
  'try.title': 'Three things to try',
  'try.tabs': 'Two tabs',
  'try.tabs.text':
    'Open this page twice and add something else in each tab. Both stay in the cart.',
  'try.sign-in': 'A new id',
  'try.sign-in.text': 'Sign in: the session gets a new id, and your cart comes along.',
  'try.sign-out': 'Gone is gone',
  'try.sign-out.text':
    'Sign out in one tab, then reload the other. Nothing brings the session back.',

  'cart.title': 'Your cart',
  'cart.empty': 'There is nothing in it yet.',
  'cart.to-shop': 'Look around the shop',
  'cart.quantity': 'Quantity of {item}',
  'cart.more': 'One more: {item}',
  'cart.less': 'One less: {item}',
  'cart.remove': 'Remove',
  'cart.remove-item': 'Remove {item}',
  'cart.total': 'Total',
  'cart.note':
    'The cart is an object with one key for each thing. A request changes its own key only, so two tabs do not undo each other.',

  'preferences.title': 'Preferences',
  'preferences.intro': 'Kept in your session. They take effect at once and stay when you sign in.',
  'preferences.language': 'Language',
  'preferences.theme': 'Theme',
  'theme.system': 'As the device',
  'theme.light': 'Light',
  'theme.dark': 'Dark',

  'sign-in.title': 'Sign in',
  'sign-in.intro': 'Any name works: this is a demo. There is no password and no list of users.',
  'sign-in.name': 'Your name',
  'sign-in.error': 'Enter a name of 1 to 60 characters.',

  'session.title': 'Your session',
  'session.none':
    'There is none yet: nothing is stored and no cookie was sent. Add something to the cart and come back.',
  'session.id': 'Id',
  'session.id.note': 'Only how it begins. Whoever knows all of it is signed in as you.',
  'session.expires': 'Expires',
  'session.expires.note': 'Each request starts this time anew.',
  'session.backend': 'Kept in',
  'session.content': 'What is in it',
  'session.store': 'The store since the start',
  'stats.sessions': 'Live sessions',
  'stats.bytes': 'Bytes',
  'stats.hits': 'Reads that found one',
  'stats.misses': 'Reads that found none',
  'stats.saves': 'Saves',
  'stats.merges': 'Saves merged with another',
  'stats.conflicts': 'Both changed one value',
  'stats.refused': 'Saves after the end, refused',

  'flash.added': '{item} is in your cart.',
  'flash.removed': '{item} is out of your cart.',
  'flash.saved': 'Preferences saved.',
  'flash.signed-in': 'Welcome, {name}. Your session has a new id.',
  'flash.signed-out': 'You are signed out. The session is gone.',

  'error.400': 'That did not make sense',
  'error.400.text': 'The server could not use what was sent.',
  'error.403': 'Not from here',
  'error.403.text': 'This form was sent from another site, so nothing was changed.',
  'error.404': 'Nothing here',
  'error.404.text': 'There is no page at this address.',
  'error.https': 'HTTPS is needed',
  'error.https.text': 'In production the session cookie travels over HTTPS only.',
  'error.500': 'Something broke',
  'error.500.text': 'It was not you. The server has noted what happened.',
  'error.503': 'One moment',
  'error.503.text': 'Sessions cannot be reached right now. Please try again shortly.',
}

const de = {
  'language.name': 'Deutsch',
  skip: 'Zum Inhalt springen',
  'nav.main': 'Hauptmenü',
  'nav.account': 'Konto',
  'nav.shop': 'Laden',
  'nav.cart': 'Warenkorb',
  'nav.preferences': 'Einstellungen',
  'nav.session': 'Sitzung',
  'nav.sign-in': 'Anmelden',
  'nav.sign-out': 'Abmelden',
  footer: 'Die Beispiel-App von rust-session-store. Hier wird nichts verkauft.',

  'item.kettle': 'Teekessel',
  'item.skillet': 'Bratpfanne',
  'item.bell': 'Ladenglocke',
  'item.key': 'Fundschlüssel',
  'item.horseshoe': 'Hufeisen',
  'item.anvil': 'Kleiner Amboss',

  'shop.title': 'Dinge aus Eisen',
  'shop.intro':
    'Ein kleiner Laden, der sich nur an einer Stelle an Sie erinnert: in Ihrer Sitzung.',
  'shop.add': 'Hinzufügen',
  'shop.in-cart': '{count} im Warenkorb',
  'try.title': 'Drei Dinge zum Ausprobieren',
  'try.tabs': 'Zwei Tabs',
  'try.tabs.text':
    'Öffnen Sie diese Seite zweimal und legen Sie in jedem Tab etwas anderes in den Warenkorb. Beides bleibt.',
  'try.sign-in': 'Neue Kennung',
  'try.sign-in.text':
    'Melden Sie sich an: Die Sitzung bekommt eine neue Kennung, der Warenkorb kommt mit.',
  'try.sign-out': 'Weg ist weg',
  'try.sign-out.text':
    'Melden Sie sich in einem Tab ab und laden Sie den anderen neu. Die Sitzung kommt nicht zurück.',

  'cart.title': 'Ihr Warenkorb',
  'cart.empty': 'Er ist noch leer.',
  'cart.to-shop': 'Im Laden umsehen',
  'cart.quantity': 'Anzahl: {item}',
  'cart.more': 'Eins mehr: {item}',
  'cart.less': 'Eins weniger: {item}',
  'cart.remove': 'Entfernen',
  'cart.remove-item': '{item} entfernen',
  'cart.total': 'Summe',
  'cart.note':
    'Der Warenkorb ist ein Objekt mit einem Schlüssel je Ware. Eine Anfrage ändert nur ihren eigenen, darum machen zwei Tabs einander nichts rückgängig.',

  'preferences.title': 'Einstellungen',
  'preferences.intro':
    'Sie liegen in Ihrer Sitzung, gelten sofort und bleiben bei der Anmeldung erhalten.',
  'preferences.language': 'Sprache',
  'preferences.theme': 'Farbschema',
  'theme.system': 'Wie das Gerät',
  'theme.light': 'Hell',
  'theme.dark': 'Dunkel',

  'sign-in.title': 'Anmelden',
  'sign-in.intro':
    'Jeder Name geht, dies ist eine Vorführung. Es gibt kein Passwort und keine Liste von Benutzern.',
  'sign-in.name': 'Ihr Name',
  'sign-in.error': 'Geben Sie einen Namen mit 1 bis 60 Zeichen ein.',

  'session.title': 'Ihre Sitzung',
  'session.none':
    'Es gibt noch keine: Nichts ist gespeichert, kein Cookie wurde gesendet. Legen Sie etwas in den Warenkorb und kommen Sie wieder.',
  'session.id': 'Kennung',
  'session.id.note': 'Nur ihr Anfang. Wer sie ganz kennt, ist als Sie angemeldet.',
  'session.expires': 'Läuft ab',
  'session.expires.note': 'Mit jeder Anfrage beginnt diese Zeit von vorn.',
  'session.backend': 'Liegt in',
  'session.content': 'Was darin steht',
  'session.store': 'Der Speicher seit dem Start',
  'stats.sessions': 'Lebende Sitzungen',
  'stats.bytes': 'Bytes',
  'stats.hits': 'Gelesen und gefunden',
  'stats.misses': 'Gelesen, nicht gefunden',
  'stats.saves': 'Gespeichert',
  'stats.merges': 'Mit anderer Änderung vereint',
  'stats.conflicts': 'Beide änderten einen Wert',
  'stats.refused': 'Nach dem Ende abgewiesen',

  'flash.added': '{item} liegt im Warenkorb.',
  'flash.removed': '{item} ist nicht mehr im Warenkorb.',
  'flash.saved': 'Einstellungen gespeichert.',
  'flash.signed-in': 'Willkommen, {name}. Ihre Sitzung hat eine neue Kennung.',
  'flash.signed-out': 'Sie sind abgemeldet. Die Sitzung ist weg.',

  'error.400': 'Das ergab keinen Sinn',
  'error.400.text': 'Der Server konnte mit der Eingabe nichts anfangen.',
  'error.403': 'Nicht von hier',
  'error.403.text': 'Dieses Formular kam von einer fremden Seite. Es wurde nichts geändert.',
  'error.404': 'Hier ist nichts',
  'error.404.text': 'Unter dieser Adresse gibt es keine Seite.',
  'error.https': 'HTTPS ist nötig',
  'error.https.text': 'Im Betrieb wird das Sitzungs-Cookie nur über HTTPS gesendet.',
  'error.500': 'Etwas ist kaputt',
  'error.500.text': 'Es lag nicht an Ihnen. Der Server hat den Fehler notiert.',
  'error.503': 'Einen Moment',
  'error.503.text':
    'Die Sitzungen sind gerade nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.',
}

const es = {
  'language.name': 'Español',
  skip: 'Ir al contenido',
  'nav.main': 'Principal',
  'nav.account': 'Cuenta',
  'nav.shop': 'Tienda',
  'nav.cart': 'Carrito',
  'nav.preferences': 'Preferencias',
  'nav.session': 'Sesión',
  'nav.sign-in': 'Iniciar sesión',
  'nav.sign-out': 'Cerrar sesión',
  footer: 'La aplicación de guía de rust-session-store. Aquí no se vende nada.',

  'item.kettle': 'Tetera',
  'item.skillet': 'Sartén',
  'item.bell': 'Campana de tienda',
  'item.key': 'Llave perdida',
  'item.horseshoe': 'Herradura',
  'item.anvil': 'Yunque pequeño',

  'shop.title': 'Cosas de hierro',
  'shop.intro': 'Una pequeña tienda que te recuerda en un solo lugar: tu sesión.',
  'shop.add': 'Añadir',
  'shop.in-cart': '{count} en tu carrito',
  'try.title': 'Tres cosas para probar',
  'try.tabs': 'Dos pestañas',
  'try.tabs.text':
    'Abre esta página dos veces y añade algo distinto en cada pestaña. Ambas cosas se quedan en el carrito.',
  'try.sign-in': 'Un identificador nuevo',
  'try.sign-in.text':
    'Inicia sesión: la sesión recibe un identificador nuevo y tu carrito te acompaña.',
  'try.sign-out': 'Lo que se fue, se fue',
  'try.sign-out.text':
    'Cierra la sesión en una pestaña y recarga la otra. Nada hace volver la sesión.',

  'cart.title': 'Tu carrito',
  'cart.empty': 'Todavía no hay nada.',
  'cart.to-shop': 'Ver la tienda',
  'cart.quantity': 'Cantidad: {item}',
  'cart.more': 'Uno más: {item}',
  'cart.less': 'Uno menos: {item}',
  'cart.remove': 'Quitar',
  'cart.remove-item': 'Quitar {item}',
  'cart.total': 'Total',
  'cart.note':
    'El carrito es un objeto con una clave para cada cosa. Una petición cambia solo su propia clave, así que dos pestañas no se deshacen los cambios.',

  'preferences.title': 'Preferencias',
  'preferences.intro':
    'Se guardan en tu sesión, se aplican al momento y se conservan al iniciar sesión.',
  'preferences.language': 'Idioma',
  'preferences.theme': 'Tema',
  'theme.system': 'Como el dispositivo',
  'theme.light': 'Claro',
  'theme.dark': 'Oscuro',

  'sign-in.title': 'Iniciar sesión',
  'sign-in.intro':
    'Vale cualquier nombre, esto es una demostración. No hay contraseña ni lista de usuarios.',
  'sign-in.name': 'Tu nombre',
  'sign-in.error': 'Escribe un nombre de 1 a 60 caracteres.',

  'session.title': 'Tu sesión',
  'session.none':
    'Todavía no hay ninguna: no se ha guardado nada ni se ha enviado ninguna cookie. Añade algo al carrito y vuelve.',
  'session.id': 'Identificador',
  'session.id.note': 'Solo el comienzo. Quien lo conoce entero ha iniciado sesión como tú.',
  'session.expires': 'Caduca',
  'session.expires.note': 'Con cada petición este tiempo empieza de nuevo.',
  'session.backend': 'Se guarda en',
  'session.content': 'Lo que contiene',
  'session.store': 'El almacén desde el inicio',
  'stats.sessions': 'Sesiones vivas',
  'stats.bytes': 'Bytes',
  'stats.hits': 'Lecturas con resultado',
  'stats.misses': 'Lecturas sin resultado',
  'stats.saves': 'Guardadas',
  'stats.merges': 'Guardadas y combinadas',
  'stats.conflicts': 'Ambas cambiaron un valor',
  'stats.refused': 'Rechazadas tras el final',

  'flash.added': 'Añadido a tu carrito: {item}.',
  'flash.removed': 'Quitado de tu carrito: {item}.',
  'flash.saved': 'Preferencias guardadas.',
  'flash.signed-in': 'Te damos la bienvenida, {name}. Tu sesión tiene un identificador nuevo.',
  'flash.signed-out': 'Has cerrado la sesión. Ya no existe.',

  'error.400': 'Eso no tenía sentido',
  'error.400.text': 'El servidor no pudo usar lo que se envió.',
  'error.403': 'No desde aquí',
  'error.403.text': 'Este formulario se envió desde otro sitio, así que no se ha cambiado nada.',
  'error.404': 'Aquí no hay nada',
  'error.404.text': 'No hay ninguna página en esta dirección.',
  'error.https': 'Se necesita HTTPS',
  'error.https.text': 'En producción la cookie de sesión viaja solo por HTTPS.',
  'error.500': 'Algo se ha roto',
  'error.500.text': 'No ha sido culpa tuya. El servidor ha anotado lo ocurrido.',
  'error.503': 'Un momento',
  'error.503.text': 'Ahora mismo no se puede acceder a las sesiones. Inténtalo de nuevo en breve.',
}

const messages = { en, de, es }

/** `translator('de')('flash.added', { item })` is a text in German. */
function translator(language) {
  return (key, values = {}) =>
    messages[language][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''))
}

module.exports = { messages, languages: Object.keys(messages), translator }
