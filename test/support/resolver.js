// What the sources load only when they need it, they name as Node needs it named (`import('./nudge.js')`): here it is a .ts.
module.exports = (request, options) =>
  options.defaultResolver(
    /^\.{1,2}\/.*\.js$/.test(request) && !options.basedir.includes('/node_modules/') ? request.slice(0, -3) : request,
    options,
  )
